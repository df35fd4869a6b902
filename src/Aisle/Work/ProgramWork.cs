using System.Net;
using System.Text;
using Aisle.Api;
using Aisle.Jobs;
using Aisle.Launch;
using Aisle.Training.Programs;

namespace Aisle.Work;

/// <summary>
/// One worker of a training job whose model only a user's program knows: starts the program among its inputs and lends it the data centre's store. The
/// program ends with this process, and this with the node.
/// </summary>
internal static class ProgramWork
{
    private const int LastWordsLines = 20;
    private const int LongestSocketPathBytes = 100; // the system's limit is 108
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    /// <exception cref="AisleException">AISLE-5179: it ended badly; the message has its last words.</exception>
    public static async Task RunAsync(ProcessStart start, JobSpec spec, AisleClient client, CancellationToken cancellationToken)
    {
        var work = Directory.CreateDirectory(Path.Combine(start.Scratch, "work")).FullName;
        foreach (var (port, digest) in spec.Inputs.Remove(Head.TrainingStretch.Port))
            Directory.CreateSymbolicLink(Path.Combine(work, port), await JobProcess.FetchAsync(start, client, digest, cancellationToken));

        var near = Path.Combine(start.Scratch, "store");
        var far = Encoding.UTF8.GetByteCount(near) > LongestSocketPathBytes ? Directory.CreateTempSubdirectory("aisle-") : null;
        try
        {
            await using var store = CheckpointSocket.Serve(new ArtifactCheckpoints(client.Artifacts), far is null ? near : Path.Combine(far.FullName, "store"));
            var secretFile = Path.Combine(start.Scratch, "secret");
            RunEnvironment.WriteSecret(secretFile, Convert.FromHexString(start.Order.Secret!));
            await RunProgramAsync(spec.Parameters["run"], work, new RunEnvironment
            {
                Coordinator = IPEndPoint.Parse(start.Order.Coordinator!),
                SecretFile = secretFile,
                WorkerName = start.Order.Process,
                Store = store.Address,
                Scratch = Path.Combine(start.Scratch, "worker"),
            }, cancellationToken);
        }
        finally
        {
            far?.Delete(recursive: true);
        }
    }

    private static async Task RunProgramAsync(string run, string folder, RunEnvironment environment, CancellationToken cancellationToken)
    {
        var lastWords = new Queue<string>();
        using var program = LaunchedWorker.Start(environment.WorkerName, run.Split(' ', StringSplitOptions.RemoveEmptyEntries), environment.ToVariables(), (line, isTalk) =>
        {
            JobProcess.Log(line);
            if (!isTalk) return;
            lock (lastWords)
            {
                lastWords.Enqueue(line);
                if (lastWords.Count > LastWordsLines) lastWords.Dequeue();
            }
        }, folder);
        try
        {
            var exitCode = await program.Ended.WaitAsync(cancellationToken);
            if (exitCode == 0) return;
            string words;
            lock (lastWords) words = string.Join('\n', lastWords);
            throw new AisleException("AISLE-5179", $"`{run}` ended with exit code {exitCode}: {words}", "Try it beside the folders of its inputs with `aisle launch -n 2 -- …`; `aisle logs JOB` has all it said.");
        }
        finally
        {
            program.Leave();
            await Task.WhenAny(program.Ended, Task.Delay(s_patience, CancellationToken.None));
            program.Kill();
        }
    }
}
