using System.Text.Json.Nodes;

namespace Aisle.Scenarios;

/// <summary>The bar that never moves: one digest for any number of workers and any schedule of kills and joins, with real processes.</summary>
public sealed class ExactTrainingScenarios
{
    [Fact]
    public async Task The_model_has_one_digest_for_any_number_of_workers_and_any_kill_and_join()
    {
        await using var dataCentre = await DataCentre.StartAsync();
        await dataCentre.JsonAsync("put", "data/text", SampleText.Write(dataCentre.Root));
        await dataCentre.JsonAsync("run", Save(dataCentre, "small.yaml", SampleText.Pipeline), "-f");
        var spec = Save(dataCentre, "exact.yaml", SampleText.Training);

        var digests = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["1 worker"] = await TrainAsync(dataCentre, spec, workers: 1),
            ["2 workers"] = await TrainAsync(dataCentre, spec, workers: 2),
            ["3 workers"] = await TrainAsync(dataCentre, spec, workers: 3),
            ["5 workers"] = await TrainAsync(dataCentre, spec, workers: 5),
            ["3 workers, one killed"] = await TrainAsync(dataCentre, spec, workers: 3, kills: 1, seed: Seed),
            ["3 workers, all killed one after the other"] = await TrainAsync(dataCentre, spec, workers: 3, kills: 4, seed: Seed + 1),
            ["1 worker, two more join"] = await TrainAsync(dataCentre, spec, workers: 1, scaleTo: 3),
        };
        foreach (var (how, digest) in digests) TestContext.Current.SendDiagnosticMessage($"{how}: {digest}");
        Assert.True(digests.Values.Distinct().Count() == 1, $"seed {Seed}:\n{string.Join('\n', digests.Select(pair => $"{pair.Value}  {pair.Key}"))}");

        // And the command that users have for it says the same.
        var verified = await dataCentre.JsonAsync("verify", "models/exact", "--sample", "0.5");
        Assert.True(verified["ok"]!.GetValue<bool>());
        Assert.Equal(digests.Values.First(), verified["reexecuted"]!.GetValue<string>());
    }

    private static int Seed { get; } = Environment.GetEnvironmentVariable("AISLE_TEST_SEED") is { Length: > 0 } seed ? int.Parse(seed) : 20261;

    private static async Task<string> TrainAsync(DataCentre dataCentre, string spec, int workers, int kills = 0, int scaleTo = 0, int seed = 0)
    {
        var random = new Random(seed);
        var steps = new List<long>();
        var killAt = kills == 0 ? -1 : random.Next(3, 12);
        var killed = new HashSet<int>();
        var joined = new HashSet<string>();
        var last = await dataCentre.FollowAsync(async e =>
        {
            if (e["event"]?.GetValue<string>() == "workerJoined") joined.Add(e["worker"]!.GetValue<string>());
            if (e["event"]?.GetValue<string>() != "step") return;
            var step = e["step"]!.GetValue<long>();
            steps.Add(step);
            if (scaleTo > 0 && step == 3) await dataCentre.JsonAsync("scale", e["job"]!.GetValue<string>(), $"{scaleTo}");
            if (kills > 0 && step >= killAt)
            {
                // Over HTTP rather than by a command: the run does not wait for a process to start.
                var living = (await dataCentre.GetAsync($"v1/jobs/{e["job"]}"))["workers"]!.AsArray()
                    .Where(worker => worker!["state"]!.GetValue<string>() == "running").Select(worker => worker!["pid"]!.GetValue<int>())
                    .Where(pid => !killed.Contains(pid) && DataCentre.IsAlive(pid)).Order().ToList();
                if (living.Count == 0) return;
                var victim = living[random.Next(living.Count)];
                killed.Add(victim);
                DataCentre.Kill(victim);
                kills--;
                killAt = (int)step + random.Next(2, 6);
            }
        }, "run", spec, "-f", "--workers", $"{workers}", "--recompute");

        Assert.Equal("succeeded", last["state"]!.GetValue<string>());
        Assert.Equal(0, kills);
        Assert.True(joined.Count >= Math.Max(1, scaleTo), $"{joined.Count} workers joined");
        // No step is lost; a step is made twice only where everyone who held the state was gone.
        Assert.Equal(Enumerable.Range(1, 120).Select(step => (long)step), steps.Distinct().Order());
        return last["outputs"]!["model"]!.GetValue<string>();
    }

    private static string Save(DataCentre dataCentre, string name, string text)
    {
        var path = Path.Combine(dataCentre.Root, name);
        File.WriteAllText(path, text);
        return path;
    }
}
