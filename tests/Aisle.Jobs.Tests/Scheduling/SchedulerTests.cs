using CsCheck;
using System.Collections.Immutable;
using Aisle.Artifacts;
using Aisle.Ledger;

using Placement = Aisle.Ledger.Placement;

namespace Aisle.Jobs.Tests.Scheduling;

public sealed class SchedulerTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly Dictionary<JobId, DateTimeOffset> NothingLost = [];
    private static readonly Dictionary<JobId, string> AnyClass = [];

    [Fact]
    public void Workers_of_one_job_spread_over_the_nodes()
    {
        var decided = Decide(State(Wanted(1, JobKind.Train, workers: 3)), Node("a", 4), Node("b", 2), Node("c", 2));
        Assert.Equal(["a", "b", "c"], decided.Single().Placements.Select(placement => placement.Node).Order());
        Assert.Equal(["w1", "w2", "w3"], decided.Single().Placements.Select(placement => placement.Process));
    }

    [Fact]
    public void Training_starts_with_the_room_there_is()
    {
        var decided = Decide(State(Wanted(1, JobKind.Train, workers: 5)), Node("a", 2));
        Assert.Equal(2, decided.Single().Placements.Length);
    }

    [Fact]
    public void Replicas_are_all_or_nothing()
    {
        Assert.Empty(Decide(State(Wanted(1, JobKind.Serve, workers: 3)), Node("a", 2)));
        Assert.Equal(3, Decide(State(Wanted(1, JobKind.Serve, workers: 3)), Node("a", 3)).Single().Placements.Length);
    }

    [Fact]
    public void The_oldest_job_is_placed_first()
    {
        var decided = Decide(State(Wanted(1, JobKind.Task), Wanted(2, JobKind.Task)), Node("a", 1));
        Assert.Equal(new JobId(1), decided.Single().Job);
    }

    [Fact]
    public void A_replacement_takes_a_number_never_used_and_waits_a_moment()
    {
        var job = Wanted(1, JobKind.Train, workers: 2) with { Placements = [new Placement("w2", "b")], NextProcess = 3, State = JobState.Running };
        var lostAt = new Dictionary<JobId, DateTimeOffset> { [job.Id] = Now };
        Assert.Empty(Scheduler.Decide(State(job), [Node("a", 2), Node("b", 2)], lostAt, AnyClass, Now));

        var later = Scheduler.Decide(State(job), [Node("a", 2), Node("b", 2)], lostAt, AnyClass, Now + Scheduler.ReplacementDelay);
        Assert.Equal([new Placement("w2", "b"), new Placement("w3", "a")], later.Single().Placements);
    }

    [Fact]
    public void Fewer_wanted_workers_means_the_newest_leave()
    {
        var job = Wanted(1, JobKind.Train, workers: 1) with { Placements = [new Placement("w1", "a"), new Placement("w2", "a")], NextProcess = 3, State = JobState.Running };
        Assert.Equal([new Placement("w1", "a")], Decide(State(job), Node("a", 2)).Single().Placements);
    }

    [Fact]
    public void A_twin_waits_for_the_result_and_a_recomputation_does_not()
    {
        var running = Wanted(1, JobKind.Task) with { Placements = [new Placement("w1", "a")], NextProcess = 2, State = JobState.Running };
        var twin = Wanted(2, JobKind.Task) with { Identity = running.Identity };
        Assert.Empty(Decide(State(running, twin), Node("a", 4)));
        Assert.Single(Decide(State(running, twin with { Recompute = true }), Node("a", 4)));
    }

    [Fact]
    public void A_job_bound_to_a_numeric_class_runs_only_there()
    {
        var job = Wanted(1, JobKind.Train, workers: 2);
        var classes = new Dictionary<JobId, string> { [job.Id] = "avx2" };
        var decided = Scheduler.Decide(State(job), [Node("a", 4, "avx512"), Node("b", 1, "avx2")], NothingLost, classes, Now);
        Assert.Equal([new Placement("w1", "b")], decided.Single().Placements);
    }

    [Fact]
    public void Full_nodes_and_finished_jobs_are_left_alone()
    {
        var done = Wanted(1, JobKind.Task) with { State = JobState.Succeeded };
        var busy = Wanted(2, JobKind.Task) with { Placements = [new Placement("w1", "a")], NextProcess = 2, State = JobState.Running };
        Assert.Empty(Decide(State(done, busy, Wanted(3, JobKind.Task)), Node("a", 1)));
    }

    [Fact]
    public void No_decision_ever_overfills_a_node() => Gen.Select(Gen.Int[0, 4].Array[1, 4], Gen.Int[1, 6].Array[1, 6]).Sample((slots, workers) =>
    {
        var nodes = slots.Select((count, i) => Node($"n{i}", count)).ToArray();
        var state = State([.. workers.Select((count, i) => Wanted(i + 1, i % 2 == 0 ? JobKind.Train : JobKind.Task, i % 2 == 0 ? count : 1))]);
        var placed = Decide(state, nodes).SelectMany(decision => decision.Placements).GroupBy(placement => placement.Node);
        return placed.All(group => group.Count() <= nodes.Single(node => node.Name == group.Key).Slots);
    });

    [Fact]
    public void A_node_where_a_worker_computed_wrongly_gets_no_new_one_while_another_has_room()
    {
        var job = Wanted(1, JobKind.Train, workers: 2);
        var shunned = new Dictionary<JobId, HashSet<string>> { [job.Id] = ["a"] };
        IEnumerable<string> Chosen(params NodeOffer[] nodes) => Scheduler.Decide(State(job), nodes, NothingLost, AnyClass, Now, shunned).Single().Placements.Select(placement => placement.Node);
        Assert.Equal(["b", "b"], Chosen(Node("a", 9), Node("b", 2)));
        Assert.Equal(["b", "a"], Chosen(Node("a", 9), Node("b", 1)));
    }

    private static IReadOnlyList<PlaceJob> Decide(LedgerState state, params NodeOffer[] nodes) => Scheduler.Decide(state, nodes, NothingLost, AnyClass, Now);

    private static NodeOffer Node(string name, int slots, string numericClass = "x") => new(name, slots, numericClass);

    private static LedgerState State(params Job[] jobs) => LedgerState.Empty with { Jobs = jobs.ToImmutableSortedDictionary(job => job.Id, job => job) };

    private static Job Wanted(long id, JobKind kind, int workers = 1) => new()
    {
        Id = new JobId(id),
        Kind = kind,
        Title = $"job {id}",
        Spec = Digest.Of($"spec {id}"),
        Identity = Digest.Of($"identity {id}"),
        Workers = workers,
        SubmittedAt = Now,
    };
}
