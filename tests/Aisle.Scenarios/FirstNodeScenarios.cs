using System.Text.Json.Nodes;

namespace Aisle.Scenarios;

/// <summary>The first node has the ledger, the job controller and every coordinator; the workers elsewhere need none of them for long.</summary>
public sealed class FirstNodeScenarios
{
    [Fact]
    public async Task Workers_outlive_the_first_node_and_no_step_is_made_again()
    {
        await using var dataCentre = await DataCentre.StartAsync();
        await dataCentre.JsonAsync("put", "data/text", SampleText.Write(dataCentre.Root));
        var pipeline = Path.Combine(dataCentre.Root, "small.yaml");
        await File.WriteAllTextAsync(pipeline, SampleText.Pipeline, TestContext.Current.CancellationToken);
        await dataCentre.JsonAsync("run", pipeline, "-f");
        var spec = Path.Combine(dataCentre.Root, "exact.yaml");
        // Nothing is stored on the way: what is not made again can only have come from the workers.
        await File.WriteAllTextAsync(spec, SampleText.Training.Replace("checkpointEvery: 20", "checkpointEvery: 1000").Replace("steps: 120", "steps: 60"), TestContext.Current.CancellationToken);
        var undisturbed = await dataCentre.JsonAsync("run", spec, "-f", "--workers", "3");

        var job = $"v1/jobs/{(await dataCentre.JsonAsync("run", spec, "--workers", "3", "--recompute", "--set", "steps.model.audit=1/8"))["job"]}";
        var before = await UntilAsync(job, view => view["step"]?.GetValue<long>() >= 10 && Workers(view).Count == 3);
        var survivors = Workers(before).Where(worker => worker.Node != "node-1").ToList();
        Assert.NotEmpty(survivors);
        var first = (await dataCentre.GetAsync("v1/nodes")).AsArray().Single(node => node!["name"]!.GetValue<string>() == "node-1")!["pid"]!.GetValue<int>();
        DataCentre.Kill(first);
        await DataCentre.GoneAsync(first);

        var later = await UntilAsync(job, view => view["state"]!.GetValue<string>() != "waiting" && view["step"]?.GetValue<long>() > before["step"]!.GetValue<long>());
        if (later["state"]!.GetValue<string>() == "running") Assert.Subset(Workers(later).ToHashSet(), survivors.ToHashSet());
        var after = await UntilAsync(job, view => view["state"]!.GetValue<string>() is "succeeded" or "failed");
        Assert.True(after["state"]!.GetValue<string>() == "succeeded", $"{after}\n{dataCentre.Logs()}");
        Assert.Equal(undisturbed["outputs"]!["model"]!.GetValue<string>(), after["outputs"]!["model"]!.GetValue<string>());

        // What the first node tells since it is back: it goes on where the workers were, each step once.
        var told = (await dataCentre.GetTextAsync($"{job}/events")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!).ToList();
        var steps = told.Where(e => e["event"]!.GetValue<string>() == "step").Select(e => e["step"]!.GetValue<long>()).ToList();
        Assert.True(steps[0] >= before["step"]!.GetValue<long>(), $"It was at step {before["step"]}, and went on with {steps[0]}:\n{string.Join('\n', told)}");
        Assert.Equal(Enumerable.Range(0, steps.Count).Select(i => steps[0] + i), steps);
        var lost = told.Where(e => e["event"]!.GetValue<string>() == "workerLost").Select(e => e["worker"]!.GetValue<string>());
        Assert.Empty(lost.Intersect(survivors.Select(worker => worker.Name)));

        async Task<JsonNode> UntilAsync(string path, Func<JsonNode, bool> isSo)
        {
            while (true)
            {
                try
                {
                    if (await dataCentre.GetAsync(path) is var view && isSo(view)) return view;
                }
                catch (HttpRequestException)
                {
                    // The first node is not back yet.
                }
                await Task.Delay(20, TestContext.Current.CancellationToken);
            }
        }
    }

    private static List<(string Name, string Node, int Pid)> Workers(JsonNode job) =>
        [.. job["workers"]!.AsArray().Where(worker => worker!["state"]!.GetValue<string>() == "running")
            .Select(worker => (worker!["name"]!.GetValue<string>(), worker["node"]!.GetValue<string>(), worker["pid"]!.GetValue<int>()))];
}
