using System.Text.Json;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;
using Aisle.Node;

namespace Aisle.Work;

/// <summary>
/// The process that runs one job, or one worker of it: reads its order from standard input, works, and says how it went on standard output as
/// NDJSON. It ends with the node that started it. Exit code 0 after a result, 1 after a failure that it reported.
/// </summary>
internal static class JobProcess
{
    private static readonly Lock Output = new();

    public static async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        var line = ParentWatch.ReadFirstLine(orphaned: () => Environment.Exit(3));
        if (line is null) return 2;
        var start = JsonSerializer.Deserialize(line, JobsJson.Default.ProcessStart) ?? throw new AisleException("AISLE-3011", "The order is empty.", "Start jobs through `aisle run`.");
        try
        {
            using var client = new AisleClient(start.Server, start.Token);
            var spec = JobSpec.Parse((await client.Artifacts.ReadEntryAsync(start.Order.Spec, JobSpec.EntryName, cancellationToken: cancellationToken)).Span);
            await (start.Order.Kind switch
            {
                JobKind.Task => TaskWork.RunAsync(start, spec, client, cancellationToken),
                JobKind.Train => TrainingWork.RunAsync(start, spec, client, cancellationToken),
                JobKind.Serve => ServingWork.RunAsync(start, spec, client, cancellationToken),
                _ => throw new AisleException("AISLE-3012", $"A {start.Order.Kind} job has no process.", "This node is older than the data centre: update it."),
            });
            return 0;
        }
        catch (AisleException e)
        {
            Say(new ProcessMessage { Type = "failed", Text = e.Message });
            return 1;
        }
        finally
        {
            TryDelete(start.Scratch);
        }
    }

    /// <summary>One message to the node, whole lines only, from any thread.</summary>
    public static void Say(ProcessMessage message)
    {
        var line = JsonSerializer.Serialize(message, JobsJson.Default.ProcessMessage);
        lock (Output)
        {
            Console.Out.WriteLine(line);
            Console.Out.Flush();
        }
    }

    public static void Log(string text) => Say(new ProcessMessage { Type = "log", Text = text });

    /// <summary>An artifact as a folder of this node: fetched and verified once, read by every job here. Not to be written to.</summary>
    public static async Task<string> FetchAsync(ProcessStart start, AisleClient client, Digest artifact, CancellationToken cancellationToken)
    {
        var cache = Path.Combine(start.Scratch, "..", "..", "inputs");
        var folder = Path.GetFullPath(Path.Combine(cache, artifact.Hex));
        if (Directory.Exists(folder)) return folder;
        Directory.CreateDirectory(cache);
        try
        {
            await client.Artifacts.GetAsync(artifact, folder, null, cancellationToken);
        }
        catch (Exception e) when (e is AisleException or IOException && Directory.Exists(folder))
        {
            // Another process of this node was first; what it put there is the same.
        }
        return folder;
    }

    private static void TryDelete(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (IOException)
        {
            // The node clears its scratch folder when it starts.
        }
    }
}
