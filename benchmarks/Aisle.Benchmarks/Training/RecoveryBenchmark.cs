using System.Diagnostics;

namespace Aisle.Benchmarks.Training;

/// <summary>
/// Three workers, one of which is killed at a moment drawn from a seed, again and again: from the kill to the first step that finishes after the death was
/// noticed. Both store a checkpoint every fifth step. Standard error tells what was lost.
/// </summary>
internal static class RecoveryBenchmark
{
    private const int Workers = 3;

    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall)
    {
        var version = await TorchPeer.FindVersionAsync();
        var kills = isSmall ? 1 : 5;
        var steps = isSmall ? 1_000_000 : 10_000;
        var ours = await KillAsync("ours", setting => new OurRun(setting, Workers));
        var peer = version is null ? [] : await KillAsync("peer", setting => new TorchRun(setting, Workers));
        yield return CaseResult.OfTimes("recovery", "kill -9", "ms", ours, peer, version is null ? "torchrun (absent)" : $"torchrun of PyTorch {version}");

        async Task<List<double>> KillAsync(string side, Func<TrainingSetting, ITrainingRun> start)
        {
            const int Seed = 1;
            var random = new Random(Seed);
            using var setting = TrainingSetting.Create(isSmall, steps, checkpointEvery: 5);
            await using var run = start(setting);
            List<double> times = [];
            var last = await run.NextAsync();
            for (var kill = 1; kill <= kills; kill++)
            {
                while (last.Workers < Workers) last = await FollowAsync(last);
                var stepTime = TimeSpan.Zero;
                for (var calm = random.Next(3, 9); calm > 0; calm--)
                {
                    var next = await FollowAsync(last);
                    (stepTime, last) = (Stopwatch.GetElapsedTime(last.At, next.At), next);
                }
                await Task.Delay(stepTime * random.NextDouble());
                var at = Stopwatch.GetTimestamp();
                run.Kill(random.Next(Workers));

                var after = await run.NextAsync();
                while (after.Losses == last.Losses)
                {
                    last = after; // finished before the death was noticed
                    after = await run.NextAsync();
                }
                times.Add(Stopwatch.GetElapsedTime(at, after.At).TotalMilliseconds);
                var redone = last.Step + 1 - after.Step;
                Console.Error.WriteLine(FormattableString.Invariant(
                    $"{side}, kill {kill}: next step after {times[^1]:0} ms; a calm step took {stepTime.TotalMilliseconds:0} ms; steps done again: {redone}"));
                if (redone < 0 || !(after.LossPerToken < 8)) throw new BenchmarkFailedException($"Step {after.Step} with loss {after.LossPerToken} cannot follow step {last.Step}.");
                run.Restore();
                last = after;
            }
            return times;

            // Between kills every step comes once. A worker that is taken for dead without a kill, on a machine busy with other things, is replaced.
            async Task<StepReport> FollowAsync(StepReport before)
            {
                var next = await run.NextAsync();
                if (next.Step != before.Step + 1) throw new BenchmarkFailedException($"Step {next.Step} came after step {before.Step}, without a kill.");
                if (next.Losses != before.Losses) run.Restore();
                return next;
            }
        }
    }
}
