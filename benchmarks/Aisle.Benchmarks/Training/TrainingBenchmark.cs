using System.Diagnostics;
using System.Globalization;

namespace Aisle.Benchmarks.Training;

/// <summary>Tokens a second of a small language model, once it is under way. Each turn is a run from the start, the first steps uncounted.</summary>
internal static class TrainingBenchmark
{
    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall)
    {
        var version = await TorchPeer.FindVersionAsync();
        var (uncounted, counted, turns) = isSmall ? (3, 5, 1) : (4, 6, 5);
        foreach (var workers in new[] { 1, 2 })
        {
            var name = workers == 1 ? "1 worker" : $"{workers} workers";
            List<double> ours = [], peer = [], ideal = [];
            for (var turn = 0; turn < turns; turn++)
            {
                ours.Add(await RateAsync(setting => new OurRun(setting, workers)));
                if (version is not null) peer.Add(await RateAsync(setting => new TorchRun(setting, workers)));
                if (workers > 1) ideal.Add(await ApartAsync(workers));
                Console.Error.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{name}, turn {turn + 1}: ours {ours[^1]:0}{(version is null ? "" : $", peer {peer[^1]:0}")}{(workers > 1 ? $", apart {ideal[^1]:0}" : "")} tokens/s"));
            }
            yield return CaseResult.OfRates("training", name, "tokens/s", ours, peer, version is null ? "PyTorch (absent)" : $"PyTorch {version}, DDP over Gloo");
            // What the cores give when nobody waits for anybody: above 1 is not to be had.
            if (workers > 1) yield return CaseResult.OfRates("training", $"{name}, of the ideal", "tokens/s", ours, ideal, $"{workers} runs of 1 worker at the same time, added");
        }

        async Task<double> ApartAsync(int runs)
        {
            var rates = await Task.WhenAll(Enumerable.Range(0, runs).Select(_ => Task.Run(() => RateAsync(setting => new OurRun(setting, 1)))));
            return rates.Sum();
        }

        async Task<double> RateAsync(Func<TrainingSetting, ITrainingRun> start)
        {
            using var setting = TrainingSetting.Create(isSmall, steps: 1000);
            await using var run = start(setting);
            var first = await run.NextAsync();
            var from = first;
            while (from.Step < uncounted) from = await run.NextAsync();
            var to = from;
            while (to.Step < uncounted + counted) to = await run.NextAsync();
            Check(first.LossPerToken, to.LossPerToken);
            return counted * setting.TokensPerStep / Stopwatch.GetElapsedTime(from.At, to.At).TotalSeconds;
        }
    }

    // A fresh model knows nothing: its loss is the logarithm of the vocabulary. One that learns gets below.
    private static void Check(double first, double last)
    {
        var nothing = Math.Log(TrainingSetting.Vocabulary);
        if (Math.Abs(first - nothing) > 0.3) throw new BenchmarkFailedException($"The first loss is {first}, not about {nothing}.");
        if (!(last < first - 0.02)) throw new BenchmarkFailedException($"Nothing is learned: the loss went from {first} to {last}.");
    }
}
