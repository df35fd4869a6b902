namespace Aisle.Ledger.Tests.Simulation;

/// <summary>A failing run with as little trouble as still makes it fail.</summary>
internal static class Shrunk
{
    private const int LastLines = 120;

    public static SimulationPlan Plan(SimulationPlan plan, Bug bug)
    {
        var smaller = plan;
        for (var again = true; again;)
        {
            again = false;
            foreach (var without in Simpler(smaller))
            {
                SimulatedCluster.Run(without, out var failure, bug);
                if (failure is null) continue;
                (smaller, again) = (without, true);
                break;
            }
        }
        return smaller;
    }

    public static string Story(SimulationPlan plan, Bug bug, string failure)
    {
        var smaller = Plan(plan, bug);
        var trace = SimulatedCluster.Run(smaller, out var reason, bug, trace: true).Trace.Split('\n');
        return $"""
            {plan}
            {failure}
            Shrunk to {string.Join(", ", smaller.Faults)}
            {smaller}
            {reason}
            The last {LastLines} of {trace.Length} lines:
            {string.Join('\n', trace.TakeLast(LastLines))}
            """;
    }

    private static IEnumerable<SimulationPlan> Simpler(SimulationPlan plan)
    {
        foreach (var fault in plan.Faults) yield return plan with { Faults = [.. plan.Faults.Where(other => other != fault)] };
        if (plan.LossPercent > 0) yield return plan with { LossPercent = 0 };
        if (plan.DoublePercent > 0) yield return plan with { DoublePercent = 0 };
        if (plan.SlowestMessage > 2) yield return plan with { SlowestMessage = 2 };
        if (plan.SlowestFlush > 1) yield return plan with { SlowestFlush = 1 };
    }
}
