using Aisle.Api;
using Aisle.Quickstart;

namespace Aisle.Tests.Quickstart;

public sealed class StepRecordTests
{
    private static readonly DateTimeOffset s_start = DateTimeOffset.UnixEpoch;

    [Fact]
    public void Steps_that_come_once_and_in_order_lose_nothing()
    {
        var record = Record(Steps(1, 10, of: 10));
        Assert.Equal((0, 0), (record.Lost, record.OutOfOrder));
        Assert.Equal(10, record.Newest);
        Assert.Equal("job-4", record.Job);
    }

    [Fact]
    public void A_missing_step_is_lost() => Assert.Equal(1, Record([.. Steps(1, 4, of: 10), .. Steps(6, 10, of: 10)]).Lost);

    [Fact]
    public void Steps_that_never_came_at_the_end_are_lost() => Assert.Equal(3, Record(Steps(1, 7, of: 10)).Lost);

    [Theory]
    [InlineData(3, 3)]
    [InlineData(5, 4)]
    public void A_step_that_comes_twice_or_late_is_out_of_order(long a, long b) =>
        Assert.Equal(1, Record([Step(a), Step(b)]).OutOfOrder);

    [Fact]
    public void What_follows_the_kill_is_its_cost()
    {
        var record = Record(Steps(1, 5, of: 10));
        record.Killed("w2", s_start.AddSeconds(5.5));
        foreach (var e in (JobEvent[])
        [
            Step(6) with { At = s_start.AddSeconds(5.4) },
            new() { Event = "workerLost", Job = "job-4", Worker = "w2" },
            new() { Event = "recovered", Job = "job-4", Seconds = 0.25, SlicesRecomputed = 4 },
            Step(7) with { At = s_start.AddSeconds(6) },
            new() { Event = "workerJoined", Job = "job-4", Worker = "w4", Step = 8 },
            Step(8) with { At = s_start.AddSeconds(7) },
        ])
            record.Apply(e);
        Assert.Equal(0.25, record.RecoverySeconds);
        Assert.Equal(4, record.SlicesRecomputed);
        Assert.Equal(0.5, record.NextStepSeconds!.Value, 6);
        Assert.Equal(("w4", 8), (record.Replacement, record.ReplacementStep));
    }

    [Fact]
    public void Workers_that_join_before_the_kill_replace_nobody()
    {
        var record = Record([new() { Event = "workerJoined", Job = "job-4", Worker = "w1", Step = 1 }, .. Steps(1, 2, of: 2)]);
        Assert.Null(record.Replacement);
        Assert.Null(record.RecoverySeconds);
    }

    private static StepRecord Record(IEnumerable<JobEvent> events)
    {
        var record = new StepRecord();
        foreach (var e in events) record.Apply(e);
        return record;
    }

    private static IEnumerable<JobEvent> Steps(int from, int to, int of) => Enumerable.Range(from, to - from + 1).Select(step => Step(step, of));

    private static JobEvent Step(long step, long of = 10) => new() { Event = "step", Job = "job-4", Step = step, Steps = of, Loss = 5, At = s_start.AddSeconds(step) };
}
