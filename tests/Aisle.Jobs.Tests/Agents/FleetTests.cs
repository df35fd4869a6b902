using System.Collections.Immutable;
using Aisle.Artifacts;
using Aisle.Ledger;
using Placement = Aisle.Ledger.Placement;

namespace Aisle.Jobs.Tests.Agents;

public sealed class FleetTests
{
    private readonly ManualTime _time = new();
    private static readonly Placement Worker = new("w1", "node-1");

    [Fact]
    public void A_process_whose_node_was_restarted_is_lost()
    {
        var fleet = FleetOf("a");
        fleet.Accept(Report("life 1"));
        fleet.Placed(new JobId(1), Worker);
        fleet.Accept(Report("life 1", Running("w1")));
        Assert.Empty(fleet.Lost(OneJob));
        fleet.Accept(Report("life 2"));
        Assert.Contains("restarted", fleet.Lost(OneJob).Single().Reason);
    }

    [Fact]
    public void A_process_that_was_just_placed_is_not_lost_before_its_node_started_it()
    {
        var fleet = FleetOf("a");
        fleet.Accept(Report("life 1"));
        fleet.Placed(new JobId(1), Worker);
        fleet.Accept(Report("life 1"));
        Assert.Empty(fleet.Lost(OneJob));
    }

    [Fact]
    public void After_a_restart_of_the_first_node_a_process_lives_if_its_node_says_so()
    {
        var knows = FleetOf("b");
        knows.Accept(Report("life 1", Running("w1")));
        Assert.Empty(knows.Lost(OneJob));

        var doesNot = FleetOf("b");
        doesNot.Accept(Report("life 1"));
        Assert.Single(doesNot.Lost(OneJob));
    }

    [Fact]
    public void A_silent_node_is_down_and_its_processes_are_lost()
    {
        var fleet = FleetOf("a");
        fleet.Accept(Report("life 1", Running("w1")));
        _time.Advance(Fleet.DownAfter + TimeSpan.FromMilliseconds(1));
        Assert.False(fleet.Nodes.Single().Up);
        Assert.Contains("down", fleet.Lost(OneJob).Single().Reason);
    }

    [Fact]
    public void A_node_never_heard_of_is_given_time_to_report_after_a_restart()
    {
        var fleet = FleetOf("b");
        Assert.Empty(fleet.Lost(OneJob));
        _time.Advance(Fleet.HeardWithin + TimeSpan.FromMilliseconds(1));
        Assert.Single(fleet.Lost(OneJob));
    }

    [Fact]
    public void An_ended_process_is_lost_with_its_last_words()
    {
        var fleet = FleetOf("a");
        fleet.Accept(Report("life 1"));
        fleet.Placed(new JobId(1), Worker);
        fleet.Accept(Report("life 1") with { Events = [new ProcessEvent(new JobId(1), "w1", default, null, 137, "out of memory")] });
        var lost = fleet.Lost(OneJob).Single();
        Assert.Equal(("killed by signal 9", "out of memory"), (lost.Reason, lost.LastWords));
    }

    [Fact]
    public async Task Orders_come_at_once_when_they_are_new_to_the_node_and_wait_otherwise()
    {
        var fleet = FleetOf("a");
        fleet.Accept(Report("life 1"));
        var first = await fleet.OrdersAsync("node-1", new OrdersVersion("another life of the first node", 99), TimeSpan.FromHours(1), default);
        Assert.Null(first.Processes); // nobody has said yet what is wanted: what runs goes on

        var waiting = fleet.OrdersAsync("node-1", first.Version, TimeSpan.FromHours(1), default);
        Assert.False(waiting.IsCompleted);
        var order = new ProcessOrder { Job = new JobId(1), Process = "w1", Title = "t", Kind = JobKind.Task, Spec = Digest.Of("s") };
        fleet.Want([("node-1", order)]);
        Assert.Equal(order, (await waiting).Processes!.Single());
    }

    [Fact]
    public void Secrets_are_not_printed()
    {
        var order = new ProcessOrder { Job = new JobId(1), Process = "w1", Title = "t", Kind = JobKind.Train, Spec = Digest.Of("s"), Secret = "hush" };
        Assert.DoesNotContain("hush", $"{order} {new ProcessStart(order, "n", new Uri("http://x/"), "hush too", "/tmp")}");
    }

    private Fleet FleetOf(string incarnation) => new(incarnation, _time);

    private static LedgerState OneJob => LedgerState.Empty with
    {
        Jobs = ImmutableSortedDictionary<JobId, Job>.Empty.Add(new JobId(1), new Job
        {
            Id = new JobId(1),
            Kind = JobKind.Train,
            Title = "t",
            Spec = Digest.Of("s"),
            Identity = Digest.Of("i"),
            State = JobState.Running,
            Placements = [Worker],
            NextProcess = 2,
            SubmittedAt = default,
        }),
    };

    private static ProcessView Running(string process) => new(new JobId(1), process, 1, null, null);

    private static AgentReport Report(string incarnation, params ProcessView[] processes) =>
        new("node-1", incarnation, new Uri("http://127.0.0.1:1/"), 1, "/d", 2, 2, "class", 0, 0, 0, 0, 0, processes, []);

    private sealed class ManualTime : TimeProvider
    {
        private DateTimeOffset _now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => _now;

        public void Advance(TimeSpan by) => _now += by;
    }
}
