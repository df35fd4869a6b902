using Aisle.Artifacts;

namespace Aisle.Training.Tests.Processes;

/// <summary>Real worker processes over loopback TCP.</summary>
public sealed class ProcessTests(ITestOutputHelper output)
{
    private static readonly string[] s_long = ["steps=400", "slices=15", "sequencesPerSlice=2", "contextTokens=16", "optimizer.learningRate=0.02"];
    private static readonly string[] s_slow = ["steps=160", "slices=15", "sequencesPerSlice=8", "contextTokens=16", "optimizer.learningRate=0.02"];
    private static readonly Lazy<Task<TrainingOutcome>> s_alone = new(() => TrainAsync(1));
    private static readonly Lazy<Task<TrainingOutcome>> s_longAlone = new(() => TrainAsync(1, s_long));

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public async Task Any_number_of_workers_trains_the_model_of_one(int workers)
    {
        var alone = await s_alone.Value;
        var together = await TrainAsync(workers);
        AssertSame(alone, together);
        Assert.True(alone.LossPerToken < 3, $"Nothing was learned: the loss is {alone.LossPerToken}.");
    }

    [Fact]
    public async Task Every_worker_says_where_each_step_went()
    {
        await using var run = new ProcessRun(minimumWorkers: 2);
        _ = run.StartWorker("w0");
        _ = run.StartWorker("w1");
        await run.CompletionAsync();
        var stepped = run.Events.OfType<WorkerStepped>().ToList();
        // The slower worker's word on the last step may come after the end.
        for (var step = 1; step < 40; step++)
        {
            var workers = stepped.Where(stepped => stepped.Step == step).ToList();
            Assert.Equal(["w0", "w1"], workers.Select(worker => worker.Name).Order());
            Assert.Equal(15, workers.Sum(worker => worker.Times.Slices));
            Assert.All(workers, worker => Assert.True(worker.Times is { ComputeMicros: > 0, ApplyMicros: > 0, PlanMicros: >= 0, ExchangeMicros: >= 0 }));
        }
        Assert.True(stepped.Where(stepped => stepped.Step % 10 == 1).Sum(stepped => stepped.Times.SaveMicros) > 0);
        Assert.All(run.Events.OfType<StepCommitted>(), step =>
        {
            Assert.True(step.GradientNorm > 0);
            Assert.Equal(run.Recipe.Schedule.At(step.Step - 1), step.LearningRate);
        });
    }

    [Fact]
    public async Task Workers_that_reach_each_other_in_different_ways_train_the_model_of_one()
    {
        await using var run = new ProcessRun(minimumWorkers: 4);
        foreach (var (name, exchange) in ((string, string)[])[("shared", "automatic"), ("sockets", "sockets"), ("tcp", "tcp"), ("lost", "automatic")])
        {
            _ = run.StartWorker(name, exchange: exchange);
        }
        await run.Seen(happened => happened is StepCommitted { Step: >= 9 });
        run.Kill("lost");
        AssertSame(await s_alone.Value, await run.CompletionAsync());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_worker_killed_at_any_moment_costs_no_step_and_no_bit(int seed)
    {
        var random = new Random(seed);
        var (killAt, pause) = (random.Next(2, 38), TimeSpan.FromMicroseconds(random.Next(20_000)));
        await using var run = new ProcessRun(minimumWorkers: 3);
        for (var i = 0; i < 3; i++) _ = run.StartWorker($"w{i}");
        await run.Seen(happened => happened is StepCommitted { Step: var step } && step >= killAt);
        await Task.Delay(pause);
        run.Kill($"w{random.Next(3)}");

        AssertSame(await s_alone.Value, await run.CompletionAsync());
        Assert.Equal(Enumerable.Range(1, 40).Select(step => (long)step), run.CommittedSteps);
        Assert.Single(run.Events.OfType<WorkerLost>());
        foreach (var recovered in run.Events.OfType<StepRecovered>())
        {
            output.WriteLine($"seed {seed}: killed {pause.TotalMilliseconds:0.0} ms after step {killAt}; step {recovered.Step} came {recovered.Took.TotalMilliseconds:0.0} ms after the loss was noticed, {recovered.SlicesRecomputed} slices computed again");
        }
    }

    [Fact]
    public async Task A_worker_that_stands_still_for_a_while_keeps_its_process_and_takes_part_again()
    {
        await using var run = new ProcessRun(minimumWorkers: 2, parameters: s_slow);
        _ = run.StartWorker("awake");
        _ = run.StartWorker("asleep");
        await run.Seen(happened => happened is StepCommitted { Step: >= 3 });
        await run.SignalAsync("asleep", "STOP");
        await run.Seen(happened => happened is WorkerLost { Name: "asleep" });
        var stood = run.Events.OfType<WorkerSuspected>().Single();
        var next = run.Events.OfType<StepCommitted>().First(committed => committed.At > stood.At);
        await run.SignalAsync("asleep", "CONT");
        var outcome = await run.CompletionAsync();

        var rejoined = run.Events.OfType<WorkerJoined>().Last(joined => joined.Name == "asleep");
        Assert.True(rejoined.At > stood.At);
        Assert.Contains(run.Events.OfType<StepCommitted>(), committed => committed.At > rejoined.At && committed.Workers == 2);
        Assert.Equal(Enumerable.Range(1, (int)outcome.Step).Select(step => (long)step), run.CommittedSteps);
        AssertSame(await TrainAsync(1, s_slow), outcome);
        Assert.InRange(next.At - stood.At, TimeSpan.Zero, TimeSpan.FromSeconds(2));
        output.WriteLine($"silent for {stood.Silence.TotalMilliseconds:0} ms when suspected; step {next.Step} came {(next.At - stood.At).TotalMilliseconds:0} ms later");
    }

    [Fact]
    public async Task A_run_whose_coordinator_is_killed_goes_on_with_the_next_one_without_a_step_lost()
    {
        await using var run = new SeparateCoordinatorRun(s_long);
        await run.StartCoordinatorAsync(minimumWorkers: 3);
        for (var i = 0; i < 3; i++) run.StartWorker($"w{i}");
        await run.Reached(20);
        run.KillCoordinator();
        await run.StartCoordinatorAsync(minimumWorkers: 3);
        await run.Reached(60);
        run.KillCoordinator();
        await run.StartCoordinatorAsync(minimumWorkers: 3);
        var hash = await run.EndAsync();

        Assert.Equal((await s_longAlone.Value).WeightsHash.ToString("x16"), hash);
        // Each coordinator begins at the state that the one before left its workers with, or the next: nothing is made twice.
        foreach (var (before, after) in run.Steps.Zip(run.Steps.Skip(1)))
        {
            Assert.Equal(Enumerable.Range((int)after[0], after.Count).Select(step => (long)step), after);
            Assert.InRange(after[0], before[^1], before[^1] + 1);
        }
        output.WriteLine(string.Join("; ", run.Steps.Select(steps => $"steps {steps[0]} to {steps[^1]}")) + $"; reunited {string.Join(" and ", run.ReunitedAfter.Select(time => $"{time.TotalMilliseconds:0} ms"))} after the next coordinator's start");
    }

    [Fact]
    public async Task A_worker_that_asks_to_leave_is_let_go_and_nothing_is_computed_again()
    {
        await using var run = new ProcessRun(minimumWorkers: 2, parameters: s_long);
        _ = run.StartWorker("stays");
        var message = run.StartWorker("leaves");
        await run.Seen(happened => happened is StepCommitted { Step: >= 3 });
        await run.SignalAsync("leaves", "TERM");
        Assert.DoesNotContain("AISLE", await message.WaitAsync(TimeSpan.FromSeconds(20)), StringComparison.Ordinal);
        AssertSame(await s_longAlone.Value, await run.CompletionAsync());
        Assert.Single(run.Events.OfType<WorkerLeft>());
        Assert.Empty(run.Events.OfType<WorkerLost>());
        Assert.Empty(run.Events.OfType<StepRecovered>());
    }

    [Fact]
    public async Task A_worker_that_joins_in_mid_run_takes_part_and_changes_no_bit()
    {
        await using var run = new ProcessRun(minimumWorkers: 2, parameters: s_long) { Pace = 10 };
        _ = run.StartWorker("w0");
        _ = run.StartWorker("w1");
        await run.Seen(happened => happened is StepCommitted { Step: 3 });
        _ = run.StartWorker("late");
        await run.CreepUntil(happened => happened is WorkerJoined { Name: "late" });
        run.Pace = long.MaxValue;
        var outcome = await run.CompletionAsync();

        AssertSame(await s_longAlone.Value, outcome);
        Assert.Contains(run.Events.OfType<WorkerJoined>(), joined => joined.Name == "late");
        Assert.Contains(run.Events.OfType<StepCommitted>(), committed => committed.Workers == 3);
    }

    [Fact]
    public async Task A_stretch_run_again_from_a_checkpoint_on_one_worker_ends_in_the_same_model()
    {
        await using var run = new ProcessRun(minimumWorkers: 2);
        _ = run.StartWorker("w0");
        _ = run.StartWorker("w1");
        var whole = await run.CompletionAsync();
        Assert.Equal([10, 20, 30, 40], whole.Checkpoints.Select(checkpoint => checkpoint.Step));

        await using var again = new ProcessRun(folder: run.Folder, resumeFrom: whole.Checkpoints[1]);
        _ = again.StartWorker("again");
        var stretch = await again.CompletionAsync();
        Assert.Equal(whole.Model, stretch.Model);
        Assert.Equal(whole.Checkpoints.Skip(2), stretch.Checkpoints);
        Assert.Equal(21, again.CommittedSteps.First());

        await using var shorter = new ProcessRun(folder: run.Folder, resumeFrom: whole.Checkpoints[0], stopAt: 20);
        _ = shorter.StartWorker("shorter");
        var stopped = await shorter.CompletionAsync();
        Assert.Null(stopped.Model);
        Assert.Equal(whole.Checkpoints.Skip(1).Take(1), stopped.Checkpoints);
    }

    [Fact]
    public async Task A_run_that_loses_every_worker_goes_on_from_its_newest_checkpoint()
    {
        await using var run = new ProcessRun();
        _ = run.StartWorker("first");
        await run.Seen(happened => happened is CheckpointSaved { Step: 20 });
        run.Kill("first");
        _ = run.StartWorker("second");
        AssertSame(await s_alone.Value, await run.CompletionAsync());
        Assert.Contains(run.Events, happened => happened is WorkerLost { Name: "first" });
    }

    [Fact]
    public async Task A_worker_that_computes_other_bits_is_refused_with_the_reason()
    {
        await using var run = new ProcessRun(parameters: ["steps=100000", "slices=15", "sequencesPerSlice=2", "contextTokens=16"]);
        _ = run.StartWorker("good");
        await run.Seen(happened => happened is StepCommitted);
        var message = await run.StartWorker("faulty", mayFail: true);
        Assert.Contains("AISLE-5123", message, StringComparison.Ordinal);
        Assert.Contains("'other' against 'test'", message, StringComparison.Ordinal);
        Assert.Contains(run.Events, happened => happened is WorkerRefused { Name: "faulty" });
    }

    [Fact]
    public async Task A_coordinator_that_was_told_no_recipe_takes_the_first_workers_and_refuses_another()
    {
        await using var whole = new ProcessRun(minimumWorkers: 2, tellRecipe: false);
        _ = whole.StartWorker("first");
        _ = whole.StartWorker("second");
        AssertSame(await s_alone.Value, await whole.CompletionAsync());
        Assert.All(whole.Events.OfType<StepCommitted>().Skip(1), committed => Assert.True(committed.TokensPerSecond > 0));

        await using var run = new ProcessRun(tellRecipe: false, parameters: ["steps=100000", "slices=15", "sequencesPerSlice=2", "contextTokens=16"]);
        _ = run.StartWorker("first");
        await run.Seen(happened => happened is StepCommitted);
        var message = await run.StartWorker("other", mayFail: true, parameters: ["steps=100000", "slices=30", "sequencesPerSlice=2", "contextTokens=16"]);
        Assert.Contains("AISLE-5122", message, StringComparison.Ordinal);
        Assert.Contains("slices 30 against 15", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_worker_with_another_secret_is_not_let_in()
    {
        await using var run = new ProcessRun();
        var message = await run.StartWorker("stranger", secret: new string('0', 64), mayFail: true);
        Assert.Contains("AISLE-5125", message, StringComparison.Ordinal);
        Assert.Empty(run.Events);
    }

    private static async Task<TrainingOutcome> TrainAsync(int workers, string[]? parameters = null)
    {
        await using var run = new ProcessRun(minimumWorkers: workers, parameters: parameters);
        for (var i = 0; i < workers; i++) _ = run.StartWorker($"w{i}");
        return await run.CompletionAsync();
    }

    private static void AssertSame(TrainingOutcome expected, TrainingOutcome actual)
    {
        Assert.NotNull(expected.Model);
        Assert.Equal(expected.Model, actual.Model);
        Assert.Equal(expected.WeightsHash, actual.WeightsHash);
        Assert.Equal(expected.LossPerToken, actual.LossPerToken);
        Assert.Equal<(long, Digest)>(expected.Checkpoints, actual.Checkpoints);
    }
}
