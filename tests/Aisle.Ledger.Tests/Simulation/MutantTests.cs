namespace Aisle.Ledger.Tests.Simulation;

/// <summary>The checker is checked: bugs that others had are put back, and the simulation must find each.</summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    private const ulong MostSeeds = 4_000;

    public static TheoryData<string> Bugs => [.. Enum.GetNames<Bug>().Where(name => name != nameof(Bug.None))];

    [Theory, MemberData(nameof(Bugs))]
    public void A_known_bug_is_found(string name)
    {
        var bug = Enum.Parse<Bug>(name);
        for (var seed = 1UL; seed <= MostSeeds; seed++)
        {
            // A vote that is forgotten matters only where the next election follows at once.
            SimulatedCluster.Run(bug == Bug.LostVote ? SimulationPlan.OfElections(seed) : SimulationPlan.Of(seed), out var failure, bug);
            if (failure is null) continue;
            output.WriteLine($"{bug}: seed {seed}, {failure}");
            return;
        }
        Assert.Fail($"{bug} was not found in {MostSeeds} runs");
    }

    [Fact]
    public void A_failing_run_is_shrunk_to_one_that_still_fails()
    {
        var plan = SimulationPlan.Of(1);
        string? failure = null;
        for (var seed = 1UL; failure is null; seed++) SimulatedCluster.Run(plan = SimulationPlan.Of(seed), out failure, Bug.AcknowledgeBeforeFlush);
        var smaller = Shrunk.Plan(plan, Bug.AcknowledgeBeforeFlush);
        SimulatedCluster.Run(smaller, out var again, Bug.AcknowledgeBeforeFlush);
        Assert.NotNull(again);
        Assert.True(smaller.Faults.Count <= plan.Faults.Count);
        Assert.Contains($"seed {plan.Seed}", Shrunk.Story(plan, Bug.AcknowledgeBeforeFlush, failure), StringComparison.Ordinal);
    }
}
