using System.Text.Json;
using CsCheck;

namespace Aisle.Monitoring.Tests;

public sealed class TimeLineTests
{
    private static readonly DateTimeOffset s_start = new(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_time_line_is_bounded_and_its_totals_forget_nothing()
    {
        var timeLine = new TimeLine(s_start, mostSteps: 10);
        for (var step = 1; step <= 100; step++) timeLine.Add(TimeSpan.FromMilliseconds(step), "w0", step, new StepTimes(1, 2, 3, 4, 5, 6));
        var snapshot = timeLine.Snapshot();
        Assert.Equal(Enumerable.Range(91, 10).Select(step => (long)step), snapshot.Steps.Select(step => step.Step));
        Assert.Equal(90, snapshot.StepsLeftOut);
        Assert.Equal(new WorkerTotals("w0", 100, 600, 100, 200, 300, 400, 500), Assert.Single(snapshot.Totals));
        Assert.Equal(snapshot.ToJson(), TimeLineSnapshot.Parse(snapshot.ToJson()).ToJson());
    }

    [Fact]
    public void A_time_line_goes_through_bytes_unchanged()
    {
        var sample = Sample();
        var read = TimeLineSnapshot.Parse(sample.ToJson());
        Assert.Equal(sample.StartedAt, read.StartedAt);
        Assert.Equal(sample.Steps, read.Steps);
        Assert.Equal(sample.Moments, read.Moments);
        Assert.Equal(sample.Totals, read.Totals);
    }

    [Fact]
    public void Damage_is_refused_or_read_never_worse()
    {
        var sound = Sample().ToJson();
        Gen.Int.Sample(seed =>
        {
            var random = new Random(seed);
            var bytes = sound.ToList();
            for (var i = random.Next(1, 5); i > 0; i--)
            {
                if (random.Next(2) == 0) bytes[random.Next(bytes.Count)] = (byte)random.Next(256);
                else bytes.RemoveRange(random.Next(bytes.Count - 1), 1);
            }
            try
            {
                var read = TimeLineSnapshot.Parse(bytes.ToArray());
                ChromeTrace.Write(Stream.Null, read, "damaged");
                StragglerReport.Of(read);
            }
            catch (AisleException e)
            {
                Assert.Equal("AISLE-5183", e.Code);
            }
        });
    }

    [Fact]
    public void The_trace_has_a_track_a_worker_phases_in_order_and_moments_as_instants()
    {
        using var stream = new MemoryStream();
        ChromeTrace.Write(stream, Sample(), "job-3");
        using var trace = JsonDocument.Parse(stream.ToArray());
        Assert.Equal("ms", trace.RootElement.GetProperty("displayTimeUnit").GetString());
        var events = trace.RootElement.GetProperty("traceEvents").EnumerateArray().ToList();
        Assert.All(events, e => Assert.True(e.GetProperty("pid").GetInt32() == 1 && e.GetProperty("tid").GetInt32() >= 0 && e.GetProperty("ts").GetInt64() >= 0));

        var tracks = events.Where(e => Of(e, "name") == "thread_name").ToDictionary(e => e.GetProperty("args").GetProperty("name").GetString()!, e => e.GetProperty("tid").GetInt32());
        Assert.Equal(["run", "w0", "w1"], tracks.Keys.Order());
        Assert.Equal("job-3", events.Single(e => Of(e, "name") == "process_name").GetProperty("args").GetProperty("name").GetString());

        foreach (var worker in (string[])["w0", "w1"])
        {
            var phases = events.Where(e => Of(e, "ph") == "X" && e.GetProperty("tid").GetInt32() == tracks[worker]).ToList();
            Assert.Equal(["plan", "compute", "exchange", "apply", "plan", "compute", "exchange", "apply"], phases.Select(e => Of(e, "name")));
            Assert.Equal([1L, 1, 1, 1, 2, 2, 2, 2], phases.Select(e => e.GetProperty("args").GetProperty("step").GetInt64()));
            // One after another: a viewer nests what overlaps.
            foreach (var (before, after) in phases.Zip(phases.Skip(1)))
                Assert.True(before.GetProperty("ts").GetInt64() + before.GetProperty("dur").GetInt64() <= after.GetProperty("ts").GetInt64());
            Assert.All(phases, e => Assert.True(e.GetProperty("dur").GetInt64() > 0));
        }
        var instants = events.Where(e => Of(e, "ph") == "i").ToList();
        Assert.Equal([("checkpoint of step 2", "g", 0), ("lost: killed", "t", tracks["w1"])], instants.Select(e => (Of(e, "name"), Of(e, "s"), e.GetProperty("tid").GetInt32())));

        static string Of(JsonElement e, string name) => e.GetProperty(name).GetString()!;
    }

    [Fact]
    public void A_slow_worker_is_named_with_its_phase_and_what_it_costs()
    {
        var timeLine = new TimeLine(s_start);
        for (var step = 1; step <= 50; step++)
        {
            timeLine.Add(TimeSpan.FromMilliseconds(step * 200), "w0", step, new StepTimes(1000, 100_000, 62_000, 5000, 0, 4));
            timeLine.Add(TimeSpan.FromMilliseconds(step * 200), "w1", step, new StepTimes(1000, 160_000, 2000, 5000, 0, 4));
            timeLine.Add(TimeSpan.FromMilliseconds(step * 200), "w2", step, new StepTimes(1000, 104_000, 58_000, 5000, 0, 4));
        }
        // Died in its first steps, slowly: no reason to warn of it.
        timeLine.Add(TimeSpan.FromMilliseconds(200), "w3", 1, new StepTimes(1000, 900_000, 2000, 5000, 0, 4));
        var report = StragglerReport.Of(timeLine.Snapshot());
        Assert.Equal("w1", report.Straggler);
        Assert.Equal(58, report.HeldUpMilliseconds, 1e-9);
        Assert.Equal(4, report.Workers.Count);
        var compute = Assert.Single(report.Slowest, phase => phase.Phase == "compute");
        Assert.Equal(("w1", 40.0, 25.5), (compute.Worker, compute.Milliseconds, compute.OthersMilliseconds));
        Assert.Equal("w0", Assert.Single(report.Slowest, phase => phase.Phase == "exchange").Worker);
        Assert.Contains("w1 needs 40.0 ms a slice where the others need 25.5 ms and holds each step up by about 58.0 ms (35%)", report.Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void A_worker_that_is_gone_is_listed_and_gets_no_advice()
    {
        var timeLine = new TimeLine(s_start);
        for (var step = 1; step <= 50; step++)
        {
            if (step <= 30) timeLine.Add(TimeSpan.FromMilliseconds(step * 200), "slow", step, new StepTimes(1000, 160_000, 2000, 5000, 0, 4));
            timeLine.Add(TimeSpan.FromMilliseconds(step * 200), "w0", step, new StepTimes(1000, 100_000, 12_000, 5000, 0, 4));
            timeLine.Add(TimeSpan.FromMilliseconds(step * 200), "w1", step, new StepTimes(1000, 104_000, 8000, 5000, 0, 4));
        }
        var report = StragglerReport.Of(timeLine.Snapshot());
        Assert.Equal(3, report.Workers.Count);
        Assert.Null(report.Straggler);
        Assert.DoesNotContain(report.Slowest, phase => phase.Worker == "slow");
    }

    [Fact]
    public void A_slow_worker_with_a_share_to_match_holds_nobody_up()
    {
        var timeLine = new TimeLine(s_start);
        timeLine.Add(TimeSpan.FromMilliseconds(200), "w0", 1, new StepTimes(1000, 100_000, 2000, 5000, 0, 8));
        timeLine.Add(TimeSpan.FromMilliseconds(200), "w1", 1, new StepTimes(1000, 100_000, 2000, 5000, 0, 4));
        var report = StragglerReport.Of(timeLine.Snapshot());
        Assert.Null(report.Straggler);
        Assert.Contains("No worker stands out", report.Advice, StringComparison.Ordinal);
        Assert.Equal("w1", report.Slowest[0].Worker);
    }

    [Theory]
    [InlineData(1, 1000, 100_000, 40_000, 2000, "spends 28% of a step on the exchange")]
    [InlineData(1, 30_000, 20_000, 1000, 2000, "57% of a step goes by before the first slice")]
    [InlineData(0, 100, 99_000, 100, 800, "another would help")]
    public void What_everyone_waits_for_is_told_in_one_sentence(int others, int plan, int compute, int exchange, int apply, string advice)
    {
        var timeLine = new TimeLine(s_start);
        for (var worker = 0; worker <= others; worker++) timeLine.Add(TimeSpan.FromSeconds(1), $"w{worker}", 1, new StepTimes(plan, compute, exchange, apply, 0, 4));
        Assert.Contains(advice, StragglerReport.Of(timeLine.Snapshot()).Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_without_a_step_has_a_report_too() => Assert.Equal("No worker has reported a step yet.", StragglerReport.Of(new TimeLine(s_start).Snapshot()).Advice);

    private static TimeLineSnapshot Sample()
    {
        var timeLine = new TimeLine(s_start);
        timeLine.Add(TimeSpan.FromMilliseconds(100), "w0", 1, new StepTimes(1000, 60_000, 9000, 5000, 300, 8));
        timeLine.Add(TimeSpan.FromMilliseconds(101), "w1", 1, new StepTimes(1000, 60_000, 9000, 5000, 0, 7));
        timeLine.Add(TimeSpan.FromMilliseconds(175), "w0", 2, new StepTimes(2000, 60_000, 9000, 5000, 0, 8)); // a millisecond too long: the first report was late
        timeLine.Add(TimeSpan.FromMilliseconds(190), "w1", 2, new StepTimes(2000, 60_000, 9000, 5000, 0, 7));
        timeLine.Mark(TimeSpan.FromMilliseconds(191), "checkpoint of step 2");
        timeLine.Mark(TimeSpan.FromMilliseconds(192), "lost: killed", "w1");
        return timeLine.Snapshot();
    }
}
