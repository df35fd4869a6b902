using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class NodesCommand
{
    public static Command Create() => new Command("nodes", "The machines there are").Does(async (call, cancellationToken) =>
    {
        using var client = call.Connect();
        var nodes = await client.NodesAsync(cancellationToken);
        if (call.Json)
        {
            call.Screen.WriteJson(nodes, ApiJson.Default.IReadOnlyListNodeView);
            return ExitCode.Done;
        }
        var listing = new Listing("NODE", "STATE", "PID", "CORES", "PROCESSES", "SHARDS", "STORED", "FREE", "CORRUPT", "REPAIRED", "CLASS", "URL");
        foreach (var node in nodes)
            listing.Add(node.Name, node.State, $"{node.Pid}", $"{node.Cores}", $"{node.Processes}", $"{node.Shards}", Amount.Bytes(node.StoredBytes),
                Amount.Bytes(node.FreeBytes), $"{node.CorruptionsFound}", $"{node.Repaired}", ShortClass(node.NumericClass), node.Url);
        listing.WriteTo(call.Screen, "No nodes.");
        return ExitCode.Done;
    });

    private static string ShortClass(string numericClass) =>
        Artifacts.Digest.TryParse(numericClass, out var digest) ? digest.Short : numericClass is "" ? "-" : numericClass;
}
