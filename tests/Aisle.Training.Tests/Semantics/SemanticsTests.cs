using System.Runtime.InteropServices;
using Aisle.Artifacts;
using Aisle.Training.Checkpoints;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests.Semantics;

/// <summary>What a model may do within a step, on one worker and on several, over the real exchange. Workers share this process.</summary>
public sealed class SemanticsTests : IDisposable
{
    private const int Slices = 6;
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-semantics-").FullName;
    private int _runs;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("optimizer.kind=adamw")]
    [InlineData("optimizer.kind=adam", "optimizer.schedule=linear")]
    [InlineData("optimizer.kind=sgd", "optimizer.nesterov=true", "optimizer.weightDecay=0.01", "optimizer.schedule=constant", "optimizer.learningRate=0.5")]
    [InlineData("optimizer.kind=sgd", "optimizer.momentum=0", "optimizer.learningRate=1", "codec=q32")]
    [InlineData("optimizer.kind=lion", "codec=int8")]
    public async Task Dropout_tied_weights_and_lengths_that_differ_give_one_model_on_any_number_of_workers(params string[] parameters)
    {
        var alone = await TrainAsync(1, parameters);
        var together = await TrainAsync(3, parameters);
        Assert.Equal(alone.Outcome.Model, together.Outcome.Model);
        Assert.Equal(alone.Outcome.LossPerToken, together.Outcome.LossPerToken);
        Assert.Equal(alone.Steps.Select(step => step.WeightsHash), together.Steps.Select(step => step.WeightsHash));
        Assert.True(alone.Steps[^1].LossPerToken < alone.Steps[0].LossPerToken, "Nothing was learned.");

        // From a checkpoint of three, on two: the optimiser's own arenas came along.
        var middle = together.Outcome.Checkpoints[0];
        var again = await TrainAsync(2, parameters, resumeFrom: middle);
        Assert.Equal(alone.Outcome.Model, again.Outcome.Model);
    }

    [Fact]
    public async Task The_model_is_that_of_plain_training_in_double()
    {
        string[] parameters = ["optimizer.kind=sgd", "optimizer.momentum=0.9", "optimizer.learningRate=0.3", "optimizer.weightDecay=0.02"];
        var run = await TrainAsync(2, parameters);
        var recipe = Recipe(parameters);
        using var model = new PhraseModel(recipe);
        model.Initialize(recipe.Seed);
        double[] weights = [.. model.Weights], velocity = new double[weights.Length];
        for (var step = 0L; step < recipe.Steps; step++)
        {
            for (var i = 0; i < weights.Length; i++) model.Weights[i] = (float)weights[i];
            var mean = new double[weights.Length];
            var tokens = 0L;
            for (var slice = 0; slice < Slices; slice++)
            {
                tokens += model.ComputeSlice(step, slice).Tokens;
                for (var i = 0; i < mean.Length; i++) mean[i] += model.Gradients[i];
            }
            for (var i = 0; i < mean.Length; i++) mean[i] /= tokens;
            var learning = model.Runs.Where(part => part.Learns).SelectMany(part => Enumerable.Range(part.Offset, part.Length)).ToList();
            var norm = Math.Sqrt(learning.Sum(i => mean[i] * mean[i]));
            var clip = norm > recipe.ClipNorm ? recipe.ClipNorm / norm : 1;
            foreach (var part in model.Runs)
            {
                for (var i = part.Offset; i < part.End; i++)
                {
                    if (part.Kind == ParameterKind.RunningAverage) weights[i] += 0.2 * (mean[i] - weights[i]);
                    if (!part.Learns) continue;
                    velocity[i] = 0.9 * velocity[i] + mean[i] * clip + (part.Kind == ParameterKind.Decayed ? 0.02 * weights[i] : 0);
                    weights[i] -= recipe.Schedule.At(step) * velocity[i];
                }
            }
        }
        var trained = WeightsOf(run.Outcome);
        for (var i = 0; i < weights.Length; i++) Assert.Equal(weights[i], trained[i], 2e-4);
        model.Initialize(recipe.Seed);
        Assert.Equal(model.Weights[PhraseModel.Offset].ToArray(), trained[PhraseModel.Offset]);
        Assert.All(trained[PhraseModel.Mean], mean => Assert.NotEqual(0, mean));
    }

    [Fact]
    public async Task Every_sample_is_seen_once_before_any_is_seen_again_whoever_computes_and_epochs_may_end_within_a_step()
    {
        var alone = await TrainAsync(1);
        var together = await TrainAsync(3);
        var order = alone.Seen.Where(seen => seen.Step >= 0).Distinct().Order().ToList();
        Assert.Equal(order, together.Seen.Distinct().Order());
        // Twelve a step: the fourth step holds the last sample of the first epoch and eleven of the second.
        var steps = order.GroupBy(seen => seen.Step).Select(step => step.Select(seen => seen.Sample).ToList()).ToList();
        Assert.Equal(PhraseModel.Phrases, steps.Take(3).SelectMany(step => step).Concat(steps[3].Take(1)).Distinct().Count());
        Assert.Equal(PhraseModel.Phrases, steps.SelectMany(step => step).Skip(PhraseModel.Phrases).Take(PhraseModel.Phrases).Distinct().Count());
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    [InlineData(1e30f)]
    public async Task A_number_that_does_not_fit_in_any_slice_skips_the_step_everywhere_and_leaves_the_state_alone(float poison)
    {
        Dictionary<(long, int), float> poisoned = new() { [(3, 0)] = poison, [(7, 5)] = poison, [(8, 2)] = poison };
        var alone = await TrainAsync(1, ["checkpointEvery=1"], poisoned);
        var together = await TrainAsync(3, ["checkpointEvery=1"], poisoned);
        Assert.Equal(alone.Outcome.Model, together.Outcome.Model);
        var clean = await TrainAsync(1, ["checkpointEvery=1"]);
        Assert.NotEqual(clean.Outcome.Model, alone.Outcome.Model);
        var recipe = Recipe([]);
        foreach (var run in (Run[])[alone, together])
        {
            Assert.Equal([4, 8, 9], run.Steps.Where(step => step.Skipped).Select(step => step.Step));
            // The schedule goes on: a step is a step.
            Assert.All(run.Steps, step => Assert.Equal(recipe.Schedule.At(step.Step - 1), step.LearningRate));
            var stored = run.Outcome.Checkpoints.ToDictionary(checkpoint => checkpoint.Step, checkpoint => StateOf(checkpoint.Digest));
            Assert.Equal(stored[3].Tensors, stored[4].Tensors);
            Assert.Equal(stored[3].Powers, stored[4].Powers);
            Assert.NotEqual(stored[2].Tensors, stored[3].Tensors);
            Assert.NotEqual(stored[4].Powers, stored[5].Powers);
            Assert.Equal(stored[7].Tensors, stored[9].Tensors);
        }
    }

    [Fact]
    public async Task A_run_that_skips_too_many_steps_in_a_row_ends_with_a_sentence()
    {
        Dictionary<(long, int), float> poisoned = [];
        for (var step = 2L; step < 12; step++) poisoned[(step, 1)] = float.NaN;
        poisoned.Remove((4, 1)); // two, then one that counts, then the rest
        var fault = await Assert.ThrowsAsync<AisleException>(() => TrainAsync(2, [], poisoned, mostSkipped: 4));
        Assert.Equal("AISLE-5161", fault.Code);
        Assert.Contains("4 steps in a row were skipped, the last of them step 8", fault.Message, StringComparison.Ordinal);
    }

    private static TrainingRecipe Recipe(string[] parameters)
    {
        Dictionary<string, string> all = new()
        {
            ["steps"] = "12", ["slices"] = $"{Slices}", ["sequencesPerSlice"] = "2", ["contextTokens"] = "12", ["optimizer.learningRate"] = "0.02", ["optimizer.warmupSteps"] = "2",
            ["checkpointEvery"] = "5",
        };
        foreach (var parameter in parameters) all[parameter.Split('=')[0]] = parameter.Split('=')[1];
        return TrainingRecipe.FromParameters(all, seed: 3);
    }

    private async Task<Run> TrainAsync(
        int workers, string[]? parameters = null, Dictionary<(long, int), float>? poison = null, int mostSkipped = 20, (long, Digest)? resumeFrom = null)
    {
        var recipe = Recipe(parameters ?? []);
        var run = new Run();
        byte[] secret = [9, 9, 9];
        await using var coordinator = Coordinator.Start(new CoordinatorOptions
        {
            Secret = secret,
            MinimumWorkers = workers,
            MostSkippedInARow = mostSkipped,
            ResumeFrom = resumeFrom,
            Event = happened =>
            {
                if (happened is StepCommitted step) run.Steps.Add(step);
            },
        });
        var number = ++_runs;
        var running = Enumerable.Range(0, workers).Select(i => Training.Worker.RunAsync(
            new WorkerOptions
            {
                Name = $"w{i}",
                Coordinator = coordinator.EndPoint,
                Secret = secret,
                Recipe = recipe,
                Model = recipe => new PhraseModel(recipe) { Poison = poison ?? [], Seen = run.Seen },
                Store = new FolderCheckpointStore(Path.Combine(_folder, "store")),
                ScratchFolder = Path.Combine(_folder, $"scratch-{number}-{i}"),
            },
            CancellationToken.None)).ToList();
        await Task.WhenAll(running).WaitAsync(TimeSpan.FromSeconds(60));
        run.Outcome = await coordinator.Completion;
        return run;
    }

    private float[] WeightsOf(TrainingOutcome outcome) =>
        MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(Path.Combine(new FolderCheckpointStore(Path.Combine(_folder, "store")).PathOf(outcome.Model!.Value), "weights.bin"))).ToArray();

    private (byte[] Tensors, string Powers) StateOf(Digest checkpoint)
    {
        var folder = new FolderCheckpointStore(Path.Combine(_folder, "store")).PathOf(checkpoint);
        return (File.ReadAllBytes(Path.Combine(folder, "state.safetensors")), string.Join(' ', File.ReadLines(Path.Combine(folder, "training.json")).Where(line => line.Contains("Power", StringComparison.Ordinal))));
    }

    private sealed class Run
    {
        public List<StepCommitted> Steps { get; } = [];

        public System.Collections.Concurrent.ConcurrentBag<(long Step, int Slice, long Sample)> Seen { get; } = [];

        public TrainingOutcome Outcome { get; set; } = null!;
    }
}
