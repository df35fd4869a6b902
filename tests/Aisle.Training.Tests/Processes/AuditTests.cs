using Aisle.Artifacts;

namespace Aisle.Training.Tests.Processes;

/// <summary>One of several real workers has a bit flipped in its memory, or computes other bits.</summary>
public sealed class AuditTests(ITestOutputHelper output)
{
    private static readonly Lazy<Task<TrainingOutcome>> s_alone = new(async () =>
    {
        await using var run = new ProcessRun();
        _ = run.StartWorker("alone");
        return await run.CompletionAsync();
    });

    [Theory]
    [InlineData("Gradient:17:1", 3, 1)]
    [InlineData("Gradient:17:1", 2, 1)]
    [InlineData("Gradient:17:100", 3, 1.0 / 64)]
    [InlineData("Weight:17:1", 3, 1)]
    [InlineData("Weight:17:1", 2, 1.0 / 64)]
    [InlineData("Mean:17:1", 3, 1.0 / 64)]
    [InlineData("Variance:17:1", 3, 1.0 / 64)]
    [InlineData("Reduced:17:1", 3, 1.0 / 64)]
    [InlineData("Class:17", 3, 1.0 / 64)]
    public async Task A_worker_that_computes_wrongly_is_named_and_shut_out_and_the_model_is_right(string fault, int workers, double audit)
    {
        await using var run = new ProcessRun(minimumWorkers: workers, auditFraction: audit);
        var sick = run.StartWorker("sick", mayFail: true, environment: ("TEST_FAULT", fault));
        for (var i = 1; i < workers; i++) _ = run.StartWorker($"w{i}");
        var outcome = await run.CompletionAsync();

        var alone = await s_alone.Value;
        Assert.NotNull(alone.Model);
        Assert.Equal(alone.Model, outcome.Model);
        Assert.Equal(alone.WeightsHash, outcome.WeightsHash);
        Assert.Subset(alone.Checkpoints.ToHashSet(), outcome.Checkpoints.ToHashSet()); // one that the wrong worker was storing may be missing
        Assert.Contains(alone.Checkpoints[^1], outcome.Checkpoints);
        var quarantined = Assert.Single(run.Events.OfType<WorkerQuarantined>());
        Assert.Equal("sick", quarantined.Name);
        Assert.Equal("127.0.0.1", quarantined.Host);
        Assert.InRange(quarantined.Step, 17, 17 + 24); // by the last step at the latest
        Assert.Contains("AISLE-5190", await sick.WaitAsync(TimeSpan.FromSeconds(20)), StringComparison.Ordinal);
        output.WriteLine($"{fault} in one of {workers}, audited {audit:0.000}: {quarantined.Why} (step {quarantined.Step}); went back {string.Join(", ", run.Events.OfType<RolledBack>().Select(back => $"{back.From} to {back.To}"))}");
    }

    [Fact]
    public async Task Who_was_shut_out_is_refused_when_it_comes_back()
    {
        await using var run = new ProcessRun(minimumWorkers: 2, auditFraction: 1, parameters: ["steps=100000", "slices=15", "sequencesPerSlice=2", "contextTokens=16"]);
        var sick = run.StartWorker("sick", mayFail: true, environment: ("TEST_FAULT", "Weight:5:1"));
        _ = run.StartWorker("good");
        await run.Seen(happened => happened is WorkerQuarantined { Name: "sick" });
        await sick;
        Assert.Contains("AISLE-5190", await run.StartWorker("sick", mayFail: true).WaitAsync(TimeSpan.FromSeconds(20)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Who_was_shut_out_is_refused_by_the_coordinator_after_the_one_that_did_it()
    {
        await using var run = new SeparateCoordinatorRun(["steps=100000", "slices=15", "sequencesPerSlice=2", "contextTokens=16"]);
        await run.StartCoordinatorAsync(minimumWorkers: 3);
        var sick = run.FailingWorkerAsync("sick", fault: "Weight:5:1");
        run.StartWorker("a");
        run.StartWorker("b");
        Assert.Contains("AISLE-5190", await sick, StringComparison.Ordinal);
        await run.Reached(20);
        run.KillCoordinator();
        await run.StartCoordinatorAsync(minimumWorkers: 2);
        await run.Reached(run.Steps[0][^1] + 5);
        var refused = await run.FailingWorkerAsync("sick");
        Assert.Contains("AISLE-5190: Worker sick computes wrongly and was shut out at step 5: its weights changed in memory", refused, StringComparison.Ordinal);
    }
}
