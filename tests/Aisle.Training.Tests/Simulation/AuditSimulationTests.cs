using System.Globalization;

namespace Aisle.Training.Tests.Simulation;

/// <summary>One machine of several computes wrongly.</summary>
public sealed class AuditSimulationTests(ITestOutputHelper output)
{
    /// <summary>Runs per test; set <c>AISLE_SIMULATION_SEEDS</c> for more.</summary>
    private static int Seeds => int.Parse(Environment.GetEnvironmentVariable("AISLE_SIMULATION_SEEDS") ?? "700", CultureInfo.InvariantCulture);

    [Fact]
    public void A_wrong_gradient_is_found_before_it_changes_a_weight_when_all_slices_are_audited() =>
        Simulate(Corruption.Gradient, audit: 1, 0, firstSeed: 3_000_000);

    [Fact]
    public void A_weight_that_flips_in_memory_is_found_and_undone() => Simulate(Corruption.Weight, audit: 1, 0, firstSeed: 4_000_000);

    [Fact]
    public void A_wrong_update_is_found_at_any_fraction()
    {
        Simulate(Corruption.Update, audit: 1, 0, firstSeed: 5_000_000);
        Simulate(Corruption.Update, audit: 0.1, 0, firstSeed: 5_500_000);
    }

    [Fact]
    public void A_weight_that_flips_is_found_at_any_fraction() => Simulate(Corruption.Weight, audit: 0.1, 0, firstSeed: 6_000_000);

    [Theory]
    [InlineData(Corruption.Gradient)]
    [InlineData(Corruption.Weight)]
    [InlineData(Corruption.Update)]
    internal void Deaths_and_silence_meanwhile_help_no_wrong_bit_through(Corruption corruption) =>
        Simulate(corruption, audit: 1, Disturbances.Deaths | Disturbances.Silence, firstSeed: 7_000_000);

    [Fact]
    public void Audits_change_no_bit_and_shut_nobody_out_where_all_are_right()
    {
        Simulate(null, audit: 0.2, Disturbances.Deaths | Disturbances.Silence | Disturbances.Coordinator, firstSeed: 8_000_000);
        Simulate(null, audit: 1, Disturbances.Deaths | Disturbances.Silence | Disturbances.Coordinator, firstSeed: 9_000_000);
    }

    private void Simulate(Corruption? corruption, double audit, Disturbances disturbances, int firstSeed)
    {
        var (corrupted, named, gaveUp, alone, rolledBack) = (0, 0, 0, 0, 0);
        Parallel.For(firstSeed, firstSeed + Seeds, new ParallelOptions { MaxDegreeOfParallelism = 2 }, seed =>
        {
            var cluster = new SimulatedCluster(seed, disturbances, audit: audit, corruption: corruption);
            try
            {
                cluster.Run();
                Check(cluster);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"Seed {seed}: {e.Message}\n{cluster.Describe()}", e);
            }
            if (cluster.IsCorrupted) Interlocked.Increment(ref corrupted);
            if (cluster.Quarantined.Count > 0) Interlocked.Increment(ref named);
            if (cluster.HasGivenUp) Interlocked.Increment(ref gaveUp);
            if (cluster.WasAlone) Interlocked.Increment(ref alone);
            if (cluster.RolledBack) Interlocked.Increment(ref rolledBack);
        });
        output.WriteLine($"{corruption} audited {audit}: {Seeds} runs, {corrupted} corrupted, {named} named the worker, {gaveUp} gave up, {alone} had nobody left to tell, {rolledBack} went back");
        if (corruption is not null) Assert.True(named > (corrupted - alone) / 2, $"Of {corrupted} runs with a wrong worker, {alone} of them with nobody left to tell, only {named} named it.");
    }

    private static void Check(SimulatedCluster cluster)
    {
        Assert.All(cluster.Quarantined, name => Assert.Equal(cluster.Sick, name));
        if (cluster.WasAlone || cluster.HasGivenUp) return;
        var reference = SimulatedModel.Reference(cluster.Steps, cluster.Slices);
        Assert.Equal(reference[^1], cluster.Model);
        foreach (var commits in cluster.Commits.GroupBy(commit => commit.State)) Assert.Equal(reference[commits.Key], commits.Last().Hash);
        if (!cluster.IsCorrupted) Assert.Empty(cluster.Quarantined);
    }
}
