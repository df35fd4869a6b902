using CsCheck;

namespace Aisle.Monitoring.Tests;

public sealed class StepLogTests
{
    private static readonly DateTimeOffset s_start = new(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_log_goes_through_bytes_unchanged()
    {
        var log = new StepLog();
        for (var step = 1; step <= 20; step++) log.Add(Step(step));
        log.Add(new StepFigures(21, s_start, 7, double.NaN, 0, double.NaN, 0, 1, Skipped: true));
        Assert.Equal(log.Steps, StepLogFile.Parse(StepLogFile.ToBytes(log)).Steps);
    }

    [Fact]
    public void A_file_goes_on_where_a_killed_process_left_it()
    {
        using var folder = new TemporaryFolder();
        var path = folder.At(StepLogFile.Name);
        using (var first = StepLogFile.Open(path))
        {
            for (var step = 1; step <= 5; step++) first.Add(Step(step));
        }
        using (var torn = new FileStream(path, FileMode.Append)) torn.Write(new byte[17]);
        using (var second = StepLogFile.Open(path))
        {
            Assert.Equal(5, second.Log.Steps.Count);
            // Back to a checkpoint: steps come again, and must come the same.
            Assert.Equal(StepAdded.Again, second.Add(Step(4)));
            Assert.Equal(StepAdded.Contradicts, second.Add(Step(5) with { WeightsHash = 1 }));
            Assert.Equal(StepAdded.Added, second.Add(Step(6)));
        }
        var log = StepLogFile.Parse(File.ReadAllBytes(path));
        Assert.Equal(Enumerable.Range(1, 6).Select(Step), log.Steps);
    }

    [Fact]
    public void A_long_run_is_thinned_out_and_stays_within_its_bound()
    {
        using var folder = new TemporaryFolder();
        var path = folder.At(StepLogFile.Name);
        using (var file = StepLogFile.Open(path, capacity: 16))
        {
            for (var step = 1; step <= 1000; step++) file.Add(Step(step));
            Assert.Equal(64, file.Log.Stride);
            Assert.Equal(Enumerable.Range(1, 15).Select(i => i * 64L), file.Log.Steps.Select(step => step.Step));
        }
        Assert.Equal(15, StepLogFile.Parse(File.ReadAllBytes(path), capacity: 16).Steps.Count);
        Assert.Equal(16 + 15 * 64, new FileInfo(path).Length);
    }

    [Fact]
    public void Steps_may_come_in_any_order_and_are_found()
    {
        Gen.Int[1, 200].Array[0, 60].Sample(steps =>
        {
            var log = new StepLog();
            foreach (var step in steps) log.Add(Step(step));
            Assert.Equal(steps.Distinct().Order().Select(Step), log.Steps);
            for (var step = 0; step <= 201; step++) Assert.Equal(steps.Contains(step), log.At(step) is not null);
        });
    }

    [Fact]
    public void Damage_is_refused_or_read_never_worse()
    {
        var log = new StepLog();
        for (var step = 1; step <= 8; step++) log.Add(Step(step));
        var sound = StepLogFile.ToBytes(log);
        Gen.Int.Sample(seed =>
        {
            var random = new Random(seed);
            var bytes = sound.ToList();
            for (var i = random.Next(1, 4); i > 0; i--)
            {
                switch (random.Next(3))
                {
                    case 0: bytes[random.Next(bytes.Count)] ^= (byte)(1 << random.Next(8)); break;
                    case 1: bytes.RemoveRange(random.Next(bytes.Count - 1), 1); break;
                    default: bytes.Insert(random.Next(bytes.Count), (byte)random.Next(256)); break;
                }
            }
            try
            {
                StepLogFile.Parse(bytes.ToArray());
                Assert.True(bytes.SequenceEqual(sound), $"seed {seed}: damage was not seen");
            }
            catch (AisleException e)
            {
                Assert.Equal("AISLE-5181", e.Code);
            }
        });
    }

    [Fact]
    public void The_first_step_at_which_two_runs_part_is_found()
    {
        var (first, second) = (new StepLog(), new StepLog());
        for (var step = 1; step <= 30; step++) first.Add(Step(step));
        for (var step = 11; step <= 40; step++) second.Add(step < 24 ? Step(step) : Step(step) with { WeightsHash = 99 });
        Assert.Equal(new StepLogComparison(23, 24, 20), StepLogComparison.Of(first, second));
        Assert.Equal(new StepLogComparison(30, null, 30), StepLogComparison.Of(first, first));
        Assert.Equal("AISLE-5182", Assert.Throws<AisleException>(() => StepLogComparison.Of(first, new StepLog())).Code);
    }

    private static StepFigures Step(int step) => Step((long)step);

    private static StepFigures Step(long step) => new(step, s_start.AddSeconds(step), (ulong)step * 0x9E3779B97F4A7C15, 3.5 / step, 1e-3, 0.5, 1000, 2, Skipped: false);
}
