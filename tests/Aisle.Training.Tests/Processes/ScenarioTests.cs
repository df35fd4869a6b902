using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Aisle.Training.Checkpoints;
using Aisle.Training.Tests.Collectives;

namespace Aisle.Training.Tests.Processes;

/// <summary>Harsh scenarios with real processes. Whatever happens, the model is the one that a single worker trains, no step is made twice, and nobody computes a slice twice.</summary>
public sealed class ScenarioTests(ITestOutputHelper output)
{
    private static string[] Recipe(int steps, int checkpointEvery = 0) =>
        [$"steps={steps}", "slices=16", "sequencesPerSlice=2", "contextTokens=16", "optimizer.learningRate=0.02", $"checkpointEvery={checkpointEvery}"];

    /// <summary>Kills in the one run; set <c>AISLE_TRAINING_KILLS</c> for fewer or more.</summary>
    private static int Kills => int.Parse(Environment.GetEnvironmentVariable("AISLE_TRAINING_KILLS") ?? "200", CultureInfo.InvariantCulture);

    [Fact]
    public async Task Two_hundred_kills_in_one_run_cost_no_step_and_no_bit()
    {
        const int StepsPerKill = 3, Seed = 11, Workers = 6;
        var parameters = Recipe(Kills * 15 + 10); // what the kills leave is made at the end
        var random = new Random(Seed);
        var since = Stopwatch.GetTimestamp();
        await using var run = new ProcessRun(minimumWorkers: 3, parameters: parameters) { Patience = TimeSpan.FromMinutes(5), Pace = StepsPerKill };
        List<string> alive = [];
        List<(string Name, Task<string> Said)> started = [];
        void Start()
        {
            var name = $"w{started.Count}";
            started.Add((name, run.StartWorker(name)));
            alive.Add(name);
        }
        for (var i = 0; i < Workers; i++) Start(); // most of them on their way in at any moment: a kill costs the others a step's time, but the next process its start
        for (var kill = 0; kill < Kills; kill++)
        {
            // One survives with the state at least, so that no state has to be loaded; the next kill often hits while the last one's replacement learns.
            await run.CreepUntil(_ => Joined().Count >= 2);
            run.Pace = Math.Max(run.Pace, run.CommittedSteps.LastOrDefault()) + StepsPerKill;
            await Task.Delay(TimeSpan.FromMicroseconds(random.Next(12_000)));
            var joined = Joined();
            var victim = joined[random.Next(joined.Count)];
            run.Kill(victim);
            alive.Remove(victim);
            Start();
        }
        run.Pace = long.MaxValue;
        var outcome = await run.CompletionAsync();
        var took = Stopwatch.GetElapsedTime(since);

        await AssertAsAloneAsync(parameters, run, outcome);
        var killed = started.Count - alive.Count;
        Assert.Equal(Kills, killed);
        foreach (var (name, said) in started.Where(worker => alive.Contains(worker.Name))) AssertNothingComputedAgain(name, await said);
        output.WriteLine($"{killed} kills over {outcome.Step} steps in {took.TotalSeconds:0.0} s; {run.Events.OfType<StepRecovered>().Count()} steps recovered; {run.Events.OfType<StepRecovered>().Sum(step => step.SlicesRecomputed)} slices taken over");

        List<string> Joined()
        {
            var names = run.Events.OfType<WorkerJoined>().Select(joined => joined.Name).ToHashSet();
            return [.. alive.Where(names.Contains)];
        }
    }

    [Fact]
    public async Task From_one_worker_to_eight_and_back_and_in_again_under_the_same_names()
    {
        var parameters = Recipe(300);
        await using var run = new ProcessRun(parameters: parameters) { Pace = 5 };
        var first = run.StartWorker("w0");
        await run.Seen(happened => happened is StepCommitted { Step: 5 });
        for (var i = 1; i < 8; i++) _ = run.StartWorker($"w{i}");
        await JoinedTimes(run, 1);
        var eight = run.Pace + 5;
        run.Pace = eight;
        await run.Seen(happened => happened is StepCommitted step && step.Step >= eight && step.Workers == 8);
        for (var i = 1; i < 8; i++) run.Kill($"w{i}");
        var one = eight + 10;
        run.Pace = one;
        await run.Seen(happened => happened is StepCommitted step && step.Step == one);
        List<Task<string>> again = [.. Enumerable.Range(1, 7).Select(i => run.StartWorker($"w{i}"))];
        await JoinedTimes(run, 2);
        run.Pace = long.MaxValue;
        var outcome = await run.CompletionAsync();

        await AssertAsAloneAsync(parameters, run, outcome);
        Assert.Contains(run.Events.OfType<StepCommitted>(), step => step.Step > one && step.Workers == 8);
        Assert.Contains(run.Events.OfType<StepCommitted>(), step => step.Step > eight && step.Step <= one && step.Workers == 1);
        AssertNothingComputedAgain("w0", await first);
        foreach (var said in again) AssertNothingComputedAgain("one that came again", await said);

        static async Task JoinedTimes(ProcessRun run, int times)
        {
            for (var i = 1; i < 8; i++)
            {
                var name = $"w{i}";
                await run.CreepUntil(happened => happened is WorkerJoined joined && joined.Name == name && run.Events.OfType<WorkerJoined>().Count(joined => joined.Name == name) >= times);
            }
        }
    }

    [Fact]
    public async Task A_worker_stopped_for_five_seconds_goes_on_in_the_same_process_and_its_late_messages_change_nothing()
    {
        var parameters = Recipe(120);
        await using var run = new ProcessRun(minimumWorkers: 3, parameters: parameters) { Pace = 10 };
        List<(string, Task<string>)> workers = [.. ((string[])["w0", "w1", "zombie"]).Select(name => (name, run.StartWorker(name)))];
        await run.Seen(happened => happened is StepCommitted { Step: 10 });
        run.Pace = 30;
        await run.SignalAsync("zombie", "STOP");
        await Task.Delay(TimeSpan.FromSeconds(5));
        await run.Seen(happened => happened is StepCommitted { Step: 30 });
        var stoodUntil = run.Events.Count;
        await run.SignalAsync("zombie", "CONT");
        await run.CreepUntil(happened => happened is WorkerJoined { Name: "zombie" } && run.Events.Skip(stoodUntil).OfType<WorkerJoined>().Any());
        run.Pace = long.MaxValue;
        var outcome = await run.CompletionAsync();

        await AssertAsAloneAsync(parameters, run, outcome);
        Assert.Contains(run.Events, happened => happened is WorkerSuspected { Name: "zombie" });
        foreach (var (name, said) in workers) AssertNothingComputedAgain(name, await said);
    }

    [Fact]
    public async Task Shares_follow_a_slow_worker_down_and_up_again_and_one_that_stalls_is_hedged()
    {
        var parameters = Recipe(90);
        await using var run = new ProcessRun(minimumWorkers: 3, parameters: parameters);
        run.Pace = long.MaxValue;
        List<(string, Task<string>)> workers =
        [
            ("w0", run.StartWorker("w0", environment: ("TEST_SLOW", "0-90:4"))),
            ("w1", run.StartWorker("w1", environment: ("TEST_SLOW", "0-90:4"))),
            // Four times as slow up to step 40, then like the others; in step 70 it hangs, though it goes on saying that it lives.
            ("slow", run.StartWorker("slow", environment: ("TEST_SLOW", "0-40:16,40-90:4,70-71:1500"))),
        ];
        var outcome = await run.CompletionAsync();

        await AssertAsAloneAsync(parameters, run, outcome);
        var (slow, others) = (Slices("slow", 11, 40), Slices("w0", 11, 40));
        Assert.True(slow * 2 < others, $"The slow worker computed {slow} slices, another {others}.");
        var (recovered, before) = (Slices("slow", 61, 70), slow / 3);
        Assert.True(recovered > before * 1.5, $"The worker computed {before} slices in ten steps while it was slow, {recovered} in ten when it was not any more.");
        var hedged = Assert.Single(run.Events.OfType<StepHedged>(), step => step.Step == 70);
        Assert.DoesNotContain(run.Events, happened => happened is WorkerLost);
        foreach (var (name, said) in workers) AssertNothingComputedAgain(name, await said);
        output.WriteLine($"steps 11 to 40: slow {slow} slices, another {others}; steps 61 to 70: {recovered}; hedged {hedged.Slices} slices");

        int Slices(string name, long from, long to) => run.Events.OfType<WorkerStepped>().Where(step => step.Name == name && step.Step >= from && step.Step <= to).Sum(step => step.Times.Slices);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task When_all_but_one_die_in_one_step_the_last_one_finishes_alone(int seed)
    {
        var random = new Random(seed);
        var parameters = Recipe(40);
        await using var run = new ProcessRun(minimumWorkers: 4, parameters: parameters) { Pace = 10 };
        // Each slice takes two milliseconds: the deaths fall into one step of eight or a little more.
        List<Task<string>> said = [.. Enumerable.Range(0, 4).Select(i => run.StartWorker($"w{i}", environment: ("TEST_SLOW", "0-40:2")))];
        await run.Seen(happened => happened is StepCommitted { Step: 10 });
        var last = random.Next(4);
        run.Pace = long.MaxValue;
        await Task.WhenAll(Enumerable.Range(0, 4).Where(i => i != last).Select(i => (Name: $"w{i}", Pause: TimeSpan.FromMicroseconds(random.Next(8000)))).ToList().Select(async victim =>
        {
            await Task.Delay(victim.Pause);
            run.Kill(victim.Name);
        }));
        var outcome = await run.CompletionAsync();

        await AssertAsAloneAsync(parameters, run, outcome);
        Assert.Equal(3, run.Events.OfType<WorkerLost>().Count());
        AssertNothingComputedAgain($"w{last} (seed {seed})", await said[last]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_cut_link_between_two_workers_that_both_reach_the_coordinator_does_not_stop_the_run(bool bothWays)
    {
        var parameters = Recipe(60);
        await using var run = new ProcessRun(minimumWorkers: 3, parameters: parameters) { Pace = 10 };
        var cut = Path.Combine(run.Folder, "cut");
        var library = CompiledLibrary.Make(run.Folder, "cut_link", File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "cut_link.c")));
        var (portOfA, portOfB) = (FreePort(), FreePort());
        _ = run.StartWorker("a", exchange: "tcp", environment: Cut(portOfA, portOfB));
        _ = run.StartWorker("b", exchange: "tcp", environment: bothWays ? Cut(portOfB, portOfA) : [("TEST_LISTEN", $"127.0.0.1:{portOfB}")]);
        var said = run.StartWorker("c", exchange: "tcp");
        await run.Seen(happened => happened is StepCommitted { Step: 10, Workers: 3 });
        await File.WriteAllTextAsync(cut, "");
        await run.Seen(happened => happened is StepCommitted { Step: 11 }); // step 10 may have been computed; whatever the next one lacks, it gets another way
        run.Pace = long.MaxValue;
        var outcome = await run.CompletionAsync();

        await AssertAsAloneAsync(parameters, run, outcome);
        var lost = run.Events.OfType<WorkerLost>().First();
        Assert.Contains("cannot reach", lost.Reason, StringComparison.Ordinal);
        Assert.Contains(lost.Name, (string[])["a", "b"]);
        AssertNothingComputedAgain("c", await said);

        (string, string)[] Cut(int from, int to) => [("TEST_LISTEN", $"127.0.0.1:{from}"), ("TEST_CUT_PORT", $"{to}"), ("TEST_CUT_FILE", cut), ("LD_PRELOAD", library)];

        static int FreePort()
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            return ((IPEndPoint)listener.LocalEndpoint).Port;
        }
    }

    [Fact]
    public async Task A_checkpoint_whose_writer_is_killed_in_mid_write_is_written_by_another_and_every_stored_one_stays_good()
    {
        const int Every = 2, Wanted = 3, Steps = 600;
        var parameters = Recipe(Steps, Every);
        await using var run = new ProcessRun(minimumWorkers: 3, parameters: parameters) { Pace = 0 };
        var store = Path.Combine(run.Folder, "store");
        Directory.CreateDirectory(store);
        List<string> alive = [];
        var started = 0;
        while (started < 3) Start();
        List<string> halfWritten = [];
        var step = 0L;
        while (halfWritten.Count < Wanted)
        {
            await run.CreepUntil(_ => alive.All(IsIn));
            step = (Math.Max(run.Pace, run.CommittedSteps.LastOrDefault()) / Every + 1) * Every;
            Assert.True(step < Steps, $"Only {halfWritten.Count} writers of {started - 3} were killed in mid-write.");
            run.Pace = step - 1; // computes up to the state to be stored, no further
            if (await Task.Run(() => BeingWritten(step)) is not { } folder) continue;
            // The folder's name has the process that fills it.
            var writer = alive.Single(name => run.ProcessIdOf(name).ToString(CultureInfo.InvariantCulture) == Path.GetFileName(folder).Split('.')[1]);
            run.Kill(writer);
            alive.Remove(writer);
            await run.Seen(happened => happened is WorkerLost lost && lost.Name == writer);
            if (Directory.Exists(folder)) halfWritten.Add(folder);
            await run.Seen(happened => happened is CheckpointSaved saved && saved.Step == step);
            Start();
        }
        foreach (var name in alive) run.Kill(name);
        var stored = run.Events.OfType<CheckpointSaved>().ToList();
        Assert.Equal(step / Every, stored.Count);
        foreach (var checkpoint in stored)
        {
            var copy = Directory.CreateDirectory(Path.Combine(run.Folder, $"copy-{checkpoint.Step}")).FullName;
            await new FolderCheckpointStore(store).LoadAsync(checkpoint.Digest, copy, CancellationToken.None);
        }
        Assert.All(halfWritten, folder => Assert.True(Directory.Exists(folder)));

        await using var again = new ProcessRun(minimumWorkers: 2, folder: run.Folder, resumeFrom: (stored[^1].Step, stored[^1].Digest), parameters: parameters) { Pace = long.MaxValue };
        _ = again.StartWorker("again0");
        _ = again.StartWorker("again1");
        var outcome = await again.CompletionAsync();
        var alone = await AloneAsync(parameters);
        Assert.Equal((alone.Outcome.Model, alone.Outcome.WeightsHash), (outcome.Model, outcome.WeightsHash));
        Assert.Equal(alone.Outcome.Checkpoints, [.. stored.Select(checkpoint => (checkpoint.Step, checkpoint.Digest)), .. outcome.Checkpoints]);
        output.WriteLine($"{started - 3} writers killed, {halfWritten.Count} of them in mid-write; resumed at step {stored[^1].Step}");

        void Start()
        {
            var name = $"w{started++}";
            _ = run.StartWorker(name);
            alive.Add(name);
        }

        bool IsIn(string name) => run.Events.OfType<WorkerJoined>().Any(joined => joined.Name == name);

        // A half-written one from before stays where it is.
        string? BeingWritten(long step)
        {
            while (true)
            {
                var isOver = run.Events.OfType<CheckpointSaved>().Any(saved => saved.Step == step);
                if (Directory.EnumerateDirectories(store, "*.part").FirstOrDefault(folder => !halfWritten.Contains(folder)) is { } folder) return folder;
                if (isOver) return null;
            }
        }
    }

    private static async Task<(TrainingOutcome Outcome, IReadOnlyList<TrainingEvent> Events)> AloneAsync(string[] parameters)
    {
        await using var alone = new ProcessRun(parameters: parameters);
        _ = alone.StartWorker("alone");
        return (await alone.CompletionAsync(), alone.Events);
    }

    private static async Task AssertAsAloneAsync(string[] parameters, ProcessRun run, TrainingOutcome outcome)
    {
        var (expected, events) = await AloneAsync(parameters);
        Assert.NotNull(expected.Model);
        Assert.Equal((expected.Model, expected.WeightsHash, expected.LossPerToken), (outcome.Model, outcome.WeightsHash, outcome.LossPerToken));
        Assert.Equal(Hashes(events), Hashes(run.Events)); // step for step: none is missing, none was made twice
        Assert.DoesNotContain(run.Events, happened => happened is RolledBack);

        static IEnumerable<(long, ulong)> Hashes(IReadOnlyList<TrainingEvent> events) => events.OfType<StepCommitted>().Select(step => (step.Step, step.WeightsHash));
    }

    private static void AssertNothingComputedAgain(string name, string said) =>
        Assert.True(said.Contains(" slices, 0 of them again", StringComparison.Ordinal), $"{name} says: {said}");
}
