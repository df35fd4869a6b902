using System.Globalization;

namespace Aisle.Ledger.Tests.Simulation;

/// <summary>The consensus core under everything that can go wrong, thousands of times. AISLE_SIMULATION_SEEDS sets how many seeds a test runs, AISLE_SIMULATION_FIRST where it begins.</summary>
public sealed class SimulationTests(ITestOutputHelper output)
{
    private static readonly int Seeds = Number("AISLE_SIMULATION_SEEDS", 10_000);
    private static readonly int First = Number("AISLE_SIMULATION_FIRST", 1);

    [Fact]
    public void Whatever_goes_wrong_nothing_agreed_is_lost_and_the_members_come_together_again()
    {
        var (steps, committed) = (0L, 0L);
        for (var seed = First; seed < First + Seeds; seed++)
        {
            var plan = SimulationPlan.Of((ulong)seed);
            var cluster = SimulatedCluster.Run(plan, out var failure);
            if (failure is not null) Assert.Fail(Shrunk.Story(plan, Bug.None, failure));
            steps += cluster.Steps;
            committed += cluster.Committed;
        }
        output.WriteLine($"{Seeds} runs, {steps / Seeds} steps and {committed / Seeds} entries a run");
        Assert.True(committed > 20L * Seeds, $"{committed} entries in {Seeds} runs: the clusters hardly worked");
    }

    [Fact]
    public void Leaders_that_follow_each_other_quickly_lose_nothing()
    {
        for (var seed = First; seed < First + Math.Max(1, Seeds / 20); seed++)
        {
            var plan = SimulationPlan.OfElections((ulong)seed);
            SimulatedCluster.Run(plan, out var failure);
            if (failure is not null) Assert.Fail(Shrunk.Story(plan, Bug.None, failure));
        }
    }

    [Fact]
    public void Two_runs_of_a_seed_are_equal()
    {
        for (var seed = 1UL; seed <= 50; seed++)
        {
            var plan = SimulationPlan.Of(seed);
            var (first, second) = (SimulatedCluster.Run(plan, out _, trace: true), SimulatedCluster.Run(plan, out _, trace: true));
            Assert.Equal(first.Trace, second.Trace);
            Assert.Equal(first.TraceDigest, second.TraceDigest);
        }
    }

    private static int Number(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out var number) && number > 0 ? number : otherwise;
}
