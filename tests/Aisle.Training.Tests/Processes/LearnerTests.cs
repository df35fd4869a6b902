namespace Aisle.Training.Tests.Processes;

/// <summary>Workers that come in mid-run to a state that travels slowly: pieces of it leave their donor only when that has made some steps more.</summary>
public sealed class LearnerTests
{
    private static readonly string[] s_parameters = ["steps=400", "slices=15", "sequencesPerSlice=2", "contextTokens=16", "optimizer.learningRate=0.02"];
    private static readonly Lazy<Task<TrainingOutcome>> s_alone = new(async () =>
    {
        await using var run = new ProcessRun(parameters: s_parameters);
        _ = run.StartWorker("alone");
        return await run.CompletionAsync();
    });

    [Fact]
    public async Task Steps_are_made_while_the_state_travels()
    {
        await using var run = await BeginAsync(late: [3, 3]);
        _ = run.StartWorker("late");
        await StepUntil(run, run.Seen(happened => happened is WorkerJoined { Name: "late" })); // if anyone waited for the state it would never come
        await EndAsync(run);
        var events = run.Events.ToList();
        var (learns, joined) = (events.FindIndex(happened => happened is WorkerLearns { Name: "late" }), events.FindIndex(happened => happened is WorkerJoined { Name: "late" }));
        Assert.InRange(events[learns..joined].OfType<StepCommitted>().Count(), 2, 400);
        Assert.All(events[learns..joined].OfType<StepCommitted>(), step => Assert.Equal(2, step.Workers));
        Assert.Contains(events.OfType<StepCommitted>(), step => step.Workers == 3);
        Assert.Empty(events.OfType<WorkerLost>());
    }

    [Fact]
    public async Task A_donor_that_dies_is_replaced()
    {
        await using var run = await BeginAsync(late: [0, 100_000]); // what the second is asked for never leaves
        _ = run.StartWorker("late");
        await StepUntil(run, run.Seen(happened => happened is WorkerLearns { Name: "late" }));
        Assert.DoesNotContain(run.Events, happened => happened is WorkerJoined { Name: "late" });
        run.Kill("w1");
        await StepUntil(run, run.Seen(happened => happened is WorkerJoined { Name: "late" }));
        await EndAsync(run);
        Assert.Equal("w1", Assert.Single(run.Events.OfType<WorkerLost>()).Name);
    }

    [Fact]
    public async Task A_learner_that_dies_costs_nobody_a_slice()
    {
        await using var run = await BeginAsync(late: [3, 3]);
        _ = run.StartWorker("late");
        await StepUntil(run, run.Seen(happened => happened is WorkerLearns { Name: "late" }));
        run.Kill("late");
        await EndAsync(run);
        Assert.All(run.Events.OfType<StepRecovered>(), recovered => Assert.Equal(0, recovered.SlicesRecomputed));
        Assert.Empty(run.Events.OfType<StepHedged>());
    }

    [Fact]
    public async Task Three_come_at_once()
    {
        await using var run = await BeginAsync(late: [2, 1]);
        string[] names = ["a", "b", "c"];
        foreach (var name in names) _ = run.StartWorker(name);
        await StepUntil(run, Task.WhenAll(names.Select(Joined)));
        await EndAsync(run);
        Assert.Contains(run.Events.OfType<StepCommitted>(), step => step.Workers == 5);

        Task Joined(string name) => run.Seen(happened => happened is WorkerJoined joined && joined.Name == name);
    }

    private static async Task<ProcessRun> BeginAsync(int[] late)
    {
        var run = new ProcessRun(minimumWorkers: late.Length, parameters: s_parameters) { Pace = 5 };
        for (var i = 0; i < late.Length; i++) _ = run.StartWorker($"w{i}", environment: ("TEST_GIFTS_LATE", $"{late[i]}"));
        await run.Seen(happened => happened is StepCommitted { Step: 3 });
        return run;
    }

    /// <summary>A step now and then, so that however long the machine takes there are some left.</summary>
    private static async Task StepUntil(ProcessRun run, Task happened)
    {
        while (!happened.IsCompleted)
        {
            run.Pace++;
            await Task.WhenAny(happened, Task.Delay(100));
        }
        await happened;
    }

    private static async Task EndAsync(ProcessRun run)
    {
        run.Pace = long.MaxValue;
        var outcome = await run.CompletionAsync();
        var alone = await s_alone.Value;
        Assert.Equal(alone.Model, outcome.Model);
        Assert.Equal(alone.WeightsHash, outcome.WeightsHash);
        Assert.Equal(Enumerable.Range(1, 400).Select(step => (long)step), run.CommittedSteps);
    }
}
