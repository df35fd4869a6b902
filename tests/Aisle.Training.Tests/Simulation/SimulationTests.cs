using System.Globalization;

namespace Aisle.Training.Tests.Simulation;

public sealed class SimulationTests(ITestOutputHelper output)
{
    /// <summary>Runs per test; set <c>AISLE_SIMULATION_SEEDS</c> for more.</summary>
    private static int Seeds => int.Parse(Environment.GetEnvironmentVariable("AISLE_SIMULATION_SEEDS") ?? "1000", CultureInfo.InvariantCulture);

    [Fact]
    public void Whatever_dies_or_comes_and_whenever_the_weights_are_those_of_one_worker_alone()
    {
        var total = Simulate(Disturbances.Deaths, firstSeed: 0);
        Assert.True(total.Kills > Seeds / 2, $"Only {total.Kills} kills in all: the simulation disturbs too little to prove anything.");
        Assert.True(total.RolledBack > Seeds / 300, $"Only {total.RolledBack} runs lost everyone.");
        Assert.True(total.Hedges > Seeds / 50, $"Only {total.Hedges} steps were hedged.");
        Assert.True(total.LatePieces > Seeds / 10, $"Only {total.LatePieces} of {total.Pieces} pieces of a state had to be brought up to what the others had made meanwhile.");
    }

    [Fact]
    public void Workers_that_fall_silent_or_leave_or_lose_each_other_change_no_bit()
    {
        var total = Simulate(Disturbances.Deaths | Disturbances.Silence, firstSeed: 1_000_000);
        Assert.True(total.Stops > Seeds / 2, $"Only {total.Stops} workers stood still.");
        Assert.True(total.Returns > Seeds / 10, $"Only {total.Returns} suspects came back in time.");
        Assert.True(total.WentAway > Seeds / 20, $"Only {total.WentAway} workers left.");
    }

    [Fact]
    public void The_run_survives_its_coordinator_however_often_that_is_lost()
    {
        var total = Simulate(Disturbances.Deaths | Disturbances.Silence | Disturbances.Coordinator, firstSeed: 2_000_000);
        Assert.True(total.Crashes > Seeds / 2, $"Only {total.Crashes} coordinators were lost.");
        Assert.True(total.Reunions > Seeds / 2, $"Only {total.Reunions} runs were taken up.");
    }

    private Totals Simulate(Disturbances disturbances, int firstSeed)
    {
        var total = new Totals();
        Parallel.For(firstSeed, firstSeed + Seeds, new ParallelOptions { MaxDegreeOfParallelism = 2 }, seed =>
        {
            var cluster = new SimulatedCluster(seed, disturbances);
            try
            {
                cluster.Run();
                Check(cluster);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"Seed {seed}: {e.Message}", e);
            }
            lock (total) total.Add(cluster);
        });
        output.WriteLine(total.ToString());
        return total;
    }

    private static void Check(SimulatedCluster cluster)
    {
        var reference = SimulatedModel.Reference(cluster.Steps, cluster.Slices);
        Assert.Equal(reference[^1], cluster.Model);
        foreach (var (step, hash) in cluster.Stored) Assert.Equal(reference[step], hash);
        foreach (var (state, hash) in cluster.Commits) Assert.Equal(reference[state], hash);
        if (cluster.RolledBack) return;
        var steps = Enumerable.Range(1, cluster.Steps).Select(state => (long)state);
        if (cluster.Crashes == 0) Assert.Equal(steps, cluster.Commits.Select(commit => commit.State));
        else Assert.Superset(steps.ToHashSet(), cluster.Commits.Select(commit => commit.State).ToHashSet()); // what one coordinator did not live to tell, the next one does
    }

    private sealed record Totals
    {
        public int Kills { get; private set; }

        public int RolledBack { get; private set; }

        public int Pieces { get; private set; }

        public int LatePieces { get; private set; }

        public int Stops { get; private set; }

        public int Returns { get; private set; }

        public int Hedges { get; private set; }

        public int WentAway { get; private set; }

        public int Crashes { get; private set; }

        public int Reunions { get; private set; }

        public void Add(SimulatedCluster cluster)
        {
            Kills += cluster.Kills;
            Pieces += cluster.Pieces;
            LatePieces += cluster.LatePieces;
            RolledBack += cluster.RolledBack ? 1 : 0;
            Stops += cluster.Stops;
            Returns += cluster.Returns;
            Hedges += cluster.Hedges;
            WentAway += cluster.WentAway;
            Crashes += cluster.Crashes;
            Reunions += cluster.Reunions;
        }
    }
}
