using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class StatusCommand
{
    public static Command Create() => new Command("status", "The data centre at a glance").Does(async (call, cancellationToken) =>
    {
        using var client = call.Connect();
        var status = await client.StatusAsync(cancellationToken);
        if (call.Json) call.Screen.WriteJson(status, ApiJson.Default.StatusView);
        else Print(status, call.Screen);
        return ExitCode.Done;
    });

    private static void Print(StatusView status, Screen screen)
    {
        var up = status.Nodes.Count(node => node.State == "up");
        screen.WriteLine($"Aisle {status.Version} at {status.Url}");
        screen.WriteLine($"nodes      {up} of {status.Nodes.Count} up, {status.Nodes.Sum(node => node.Cores)} cores, {Amount.Bytes(status.Nodes.Select(node => node.FreeBytes).DefaultIfEmpty(0).Min())} free on the fullest disk");
        screen.WriteLine($"stored     {Amount.Bytes(status.Nodes.Sum(node => (double)node.StoredBytes))} in {status.Nodes.Sum(node => node.Shards)} shards, copies included");
        screen.WriteLine($"jobs       {status.JobsRunning} running, {status.JobsWaiting} waiting");
        screen.WriteLine($"names      {status.Names}");
        screen.WriteLine($"ledger     revision {status.LedgerRevision}");
        foreach (var endpoint in status.Endpoints)
            screen.WriteLine($"endpoint   {endpoint.Name}: {endpoint.ModelName} ({endpoint.Model.Short}), {endpoint.Ready} of {endpoint.Replicas} ready at {endpoint.Url}");
        foreach (var node in status.Nodes.Where(node => node.CorruptionsFound > 0))
            screen.WriteLine($"warning    {node.Name} found {node.CorruptionsFound} corrupt copies and repaired {node.Repaired}");
    }
}
