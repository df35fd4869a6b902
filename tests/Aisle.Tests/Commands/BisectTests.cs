using System.Collections.Immutable;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;
using Aisle.Monitoring;
using Aisle.Tensors;
using Aisle.Training;
using Aisle.Training.Numerics;
using Aisle.Training.Programs;

namespace Aisle.Tests.Commands;

public sealed class BisectTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-bisect-tests-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Of_two_runs_of_a_program_the_corrupted_step_and_tensor_are_named()
    {
        var (good, same, bad) = (await TrainAsync("good"), await TrainAsync("same"), await TrainAsync("bad", corruptedStep: 7));
        var equal = await Typed.AsIsAsync("bisect", good, same);
        Assert.Equal((0, "Same: no step differs, of 12 that both tell.\n"), (equal.Exit, equal.Output));

        var parted = await Typed.AsIsAsync("bisect", good, bad, "--json");
        Assert.Equal(1, parted.Exit);
        Assert.False(parted.Json.GetProperty("same").GetBoolean());
        Assert.Equal(7, parted.Json.GetProperty("lastSameStep").GetInt64());
        Assert.Equal(8, parted.Json.GetProperty("firstDifferentStep").GetInt64());
        Assert.Equal(10, parted.Json.GetProperty("tensorsAtStep").GetInt64());
        Assert.Equal("right", parted.Json.GetProperty("tensor").GetString());
        var tensor = parted.Json.GetProperty("tensors")[0];
        Assert.Equal(("weights", 1, 5), (tensor.GetProperty("part").GetString(), tensor.GetProperty("different").GetInt32(), tensor.GetProperty("firstElement").GetInt32()));

        var plain = await Typed.AsIsAsync("bisect", good, bad);
        Assert.Contains("first different step  8", plain.Output, StringComparison.Ordinal);
        Assert.Contains("tensor                weights right: 1 of 8 differ, first element 5", plain.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_tells_its_time_line_and_fills_a_tensorboard()
    {
        var run = await TrainAsync("run");
        var trace = await Typed.AsIsAsync("trace", run, Path.Combine(_folder, "t.json"), "--json");
        Assert.Equal((0, 12), (trace.Exit, trace.Json.GetProperty("steps").GetInt32()));
        Assert.True(new FileInfo(Path.Combine(_folder, "t.json")).Length > 1000);
        var stragglers = await Typed.AsIsAsync("stragglers", run);
        Assert.Equal(0, stragglers.Exit);
        Assert.Contains("w0      12     24", stragglers.Output, StringComparison.Ordinal);
        var events = Assert.Single(Directory.EnumerateFiles(Path.Combine(run, "tensorboard")));
        Assert.True(new FileInfo(events).Length > 12 * 100);
    }

    [Fact]
    public async Task A_run_whose_step_does_not_come_out_again_is_the_wrong_one()
    {
        await using var server = await FakeDataCentre.StartAsync();
        using var client = new AisleClient(server.Uri, FakeDataCentre.Token);
        var spec = new JobSpec { Kind = JobKind.Train, Program = "train@1", Parameters = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal).Add("steps", "20") };
        var stored = (await client.Artifacts.PutBytesAsync(JobSpec.EntryName, spec.ToCanonicalJson())).Digest;
        var (right, wrong, remade) = (await StateAsync(client, 1), await StateAsync(client, 1.5f), await StateAsync(client, 0.25f));
        // Both have a state of step 10; job-2 went wrong at step 7. Made again, step 7 is what job-1 says, for either.
        foreach (var (job, state, logged, replay) in ((string, Digest, ulong, string)[])[("job-1", right, 7, "job-3"), ("job-2", wrong, 70, "job-4")])
        {
            server.Jobs[job] = FakeDataCentre.Job(job, "succeeded") with { Kind = "train", Spec = stored, Checkpoints = [new CheckpointView(5, Digest.Of("5")), new CheckpointView(10, state)] };
            server.Steps[job] = Log(step => step < 7 ? (ulong)step : step == 7 ? logged : logged + (ulong)step);
            server.Replays[job] = new ReplayAcceptedView(replay, "state", 5, 7);
            server.Events[replay] = [new() { Event = "finished", Job = replay, State = "succeeded" }];
            server.Jobs[replay] = FakeDataCentre.Job(replay, "succeeded") with { Outputs = new Dictionary<string, Digest> { ["state"] = remade } };
            server.Steps[replay] = Log(step => (ulong)step);
        }
        var found = await Typed.AtAsync(server, "bisect", "job-1", "job-2", "--json");
        Assert.Equal(1, found.Exit);
        Assert.Equal((6, 7), (found.Json.GetProperty("lastSameStep").GetInt64(), found.Json.GetProperty("firstDifferentStep").GetInt64()));
        Assert.Equal("job-2", found.Json.GetProperty("wrongRun").GetString());
        Assert.Equal(10, found.Json.GetProperty("tensorsAtStep").GetInt64());
        Assert.Equal(0.5, found.Json.GetProperty("tensors")[0].GetProperty("most").GetDouble());
        Assert.Equal(0, found.Json.GetProperty("specDifferences").GetArrayLength());
    }

    [Fact]
    public async Task A_folder_and_a_job_are_not_compared()
    {
        await using var server = await FakeDataCentre.StartAsync();
        Assert.Equal(2, (await Typed.AtAsync(server, "bisect", _folder, "job-1")).Exit);
        var empty = await Typed.AsIsAsync("stragglers", _folder);
        Assert.Equal(1, empty.Exit);
        Assert.Contains("AISLE-7053", empty.Error, StringComparison.Ordinal);
    }

    private static byte[] Log(Func<int, ulong> hash)
    {
        var log = new StepLog();
        for (var step = 1; step <= 20; step++) log.Add(new StepFigures(step, DateTimeOffset.UnixEpoch, hash(step), 1, 1, 1, 1, 1, false));
        return StepLogFile.ToBytes(log);
    }

    private async Task<Digest> StateAsync(AisleClient client, float value)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, $"state {value}")).FullName;
        using (var file = File.Create(Path.Combine(folder, "state.safetensors"))) Safetensors.Write(file, [new TensorSlot("weights", [3], 0, false)], [1, value, 3]);
        return (await client.Artifacts.PutAsync(folder)).Digest;
    }

    /// <summary>A run of a program of one's own: one worker, states and record in a folder.</summary>
    private async Task<string> TrainAsync(string name, long? corruptedStep = null)
    {
        var path = Path.Combine(_folder, name);
        var recipe = TrainingRecipe.FromParameters(new Dictionary<string, string>
        {
            ["steps"] = "12", ["slices"] = "2", ["checkpointEvery"] = "5", ["optimizer.clipNorm"] = "0", ["optimizer.learningRate"] = "0.01",
        }, seed: 3);
        using var folder = RunFolder.Open(path, fresh: false);
        folder.StartRecord(TimeProvider.System.GetUtcNow(), null, recipe, new TwoTensors(null).Tensors);
        await using var coordinator = Coordinator.Start(new CoordinatorOptions
        {
            Recipe = recipe, ParameterCount = TwoTensors.Count, Secret = new byte[32], Event = happened => folder.Record(happened, recipe.Digest),
        });
        await Worker.RunAsync(
            new WorkerOptions
            {
                Name = "w0", Coordinator = coordinator.EndPoint, Secret = new byte[32], Recipe = recipe, Model = _ => new TwoTensors(corruptedStep), Store = folder.Store,
                ScratchFolder = Path.Combine(path, "scratch"),
            },
            TestContext.Current.CancellationToken);
        await coordinator.Completion;
        return path;
    }

    /// <summary>Pulls every weight to its own target; when asked, one gradient of one step has a flipped bit.</summary>
    private sealed class TwoTensors(long? corruptedStep) : ITrainable
    {
        public const int Count = 12;
        private readonly float[] _weights = new float[Count];
        private readonly float[] _gradients = new float[Count];

        public int ParameterCount => Count;

        public Span<float> Weights => _weights;

        public Span<float> Gradients => _gradients;

        public IReadOnlyList<TensorSlot> Tensors => [new("left", [4], 0, false), new("right", [2, 4], 4, false)];

        public IReadOnlyList<ParameterRun> Runs => [new(0, Count, ParameterKind.Undecayed)];

        public long TokensIn(long step) => 2;

        public void Initialize(ulong seed) => Array.Clear(_weights);

        public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null)
        {
            for (var i = 0; i < Count; i++) _gradients[i] = _weights[i] - (i + 1 + slice);
            if (step == corruptedStep && slice == 1) _gradients[9] = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(_gradients[9]) ^ (1 << 22));
            return new SliceLoss(1, 1);
        }

        public void SaveModel(string folder) => File.WriteAllText(Path.Combine(folder, "model"), string.Join(' ', _weights));

        public void Dispose()
        {
        }
    }
}
