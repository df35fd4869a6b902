using System.Globalization;
using System.Net;

namespace Aisle.Training.Tests.Worker;

/// <summary>A coordinator in a process of its own, which says on its output where it listens and what it comes to.</summary>
internal static class SeparateCoordinator
{
    /// <param name="args">Endpoint, workers to wait for, secret in hex.</param>
    public static async Task<int> RunAsync(string[] args)
    {
        await using var coordinator = Coordinator.Start(new CoordinatorOptions
        {
            Listen = IPEndPoint.Parse(args[0]),
            MinimumWorkers = int.Parse(args[1], CultureInfo.InvariantCulture),
            Secret = Convert.FromHexString(args[2]),
            Event = happened =>
            {
                if (happened is StepCommitted committed) Console.WriteLine($"step {committed.Step}");
                if (happened is RunReunited reunited) Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"reunited {reunited.At.TotalMilliseconds:0}"));
            },
        });
        Console.WriteLine($"listens {coordinator.EndPoint}");
        var outcome = await coordinator.Completion;
        Console.WriteLine($"ended {outcome.WeightsHash:x16}");
        return 0;
    }
}
