namespace Aisle.Training.Tests.Simulation;

public sealed class SimulationTests
{
    [Fact]
    public void Whatever_dies_or_comes_and_whenever_the_weights_are_those_of_one_worker_alone()
    {
        var (kills, rollbacks) = (0, 0);
        Parallel.For(0, 3000, new ParallelOptions { MaxDegreeOfParallelism = 2 }, seed =>
        {
            var cluster = new SimulatedCluster(seed);
            try
            {
                cluster.Run();
                Check(cluster);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"Seed {seed}: {e.Message}", e);
            }
            Interlocked.Add(ref kills, cluster.Kills);
            if (cluster.RolledBack) Interlocked.Increment(ref rollbacks);
        });
        Assert.True(kills > 1000, $"Only {kills} kills in all: the simulation disturbs too little to prove anything.");
        Assert.True(rollbacks > 10, $"Only {rollbacks} runs lost everyone.");
    }

    private static void Check(SimulatedCluster cluster)
    {
        var reference = SimulatedModel.Reference(cluster.Steps, cluster.Slices);
        Assert.Equal(reference[^1], cluster.Model);
        foreach (var (step, hash) in cluster.Stored) Assert.Equal(reference[step], hash);
        foreach (var (state, hash) in cluster.Commits) Assert.Equal(reference[state], hash);
        if (!cluster.RolledBack) Assert.Equal(Enumerable.Range(1, cluster.Steps).Select(state => (long)state), cluster.Commits.Select(commit => commit.State));
    }
}
