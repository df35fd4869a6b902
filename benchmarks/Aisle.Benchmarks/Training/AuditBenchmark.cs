using System.Diagnostics;
using System.Globalization;

namespace Aisle.Benchmarks.Training;

/// <summary>
/// What audits cost: the same two workers with a 64th of all slices computed by a second worker too, and without, in turns. A turn is a whole number of
/// audit rounds. Time is what a user waits; processor time is what neighbours on the machine cannot disturb as much.
/// </summary>
internal static class AuditBenchmark
{
    private const int Workers = 2;
    private const double Fraction = 1.0 / 64;

    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall)
    {
        using var setting = TrainingSetting.Create(isSmall, steps: 100_000);
        var round = (int)Math.Ceiling(Workers / (Fraction * setting.Recipe.Slices)); // steps in which every worker has one slice audited
        var (uncounted, counted, turns) = isSmall ? (2, round, 1) : (4, 2 * round, 5);
        List<(double Rate, double Processor)> with = [], without = [];
        for (var turn = 0; turn < turns; turn++)
        {
            // Which comes first changes, so that a load that grows or shrinks hits both alike.
            if (turn % 2 == 0) without.Add(await TurnAsync(0));
            with.Add(await TurnAsync(Fraction));
            if (turn % 2 == 1) without.Add(await TurnAsync(0));
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"turn {turn + 1}: audited {with[^1].Rate:0} tokens/s and {with[^1].Processor:0.0} ms of processor a step, not audited {without[^1].Rate:0} and {without[^1].Processor:0.0}"));
        }
        yield return CaseResult.OfRates("audit", "2 workers", "tokens/s", with.Select(turn => turn.Rate), without.Select(turn => turn.Rate), "the same without audits");
        yield return CaseResult.OfTimes("audit", "2 workers, processor time a step", "ms", with.Select(turn => turn.Processor), without.Select(turn => turn.Processor), "the same without audits");

        async Task<(double Rate, double Processor)> TurnAsync(double audit)
        {
            await using var run = new OurRun(setting, Workers, audit);
            var first = await run.NextAsync();
            var from = first;
            while (from.Step < uncounted) from = await run.NextAsync();
            var processor = run.ProcessorTime;
            var to = from;
            while (to.Step < uncounted + counted) to = await run.NextAsync();
            processor = run.ProcessorTime - processor;
            if (!(to.LossPerToken < first.LossPerToken)) throw new BenchmarkFailedException($"Nothing is learned: the loss went from {first.LossPerToken} to {to.LossPerToken}.");
            return (counted * setting.TokensPerStep / Stopwatch.GetElapsedTime(from.At, to.At).TotalSeconds, processor.TotalMilliseconds / counted);
        }
    }
}
