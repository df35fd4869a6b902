using Aisle.Tensors;
using Aisle.Training.Checkpoints;
using Aisle.Training.Exchange;
using Aisle.Training.LanguageModels;

namespace Aisle.Training.Tests.LanguageModels;

/// <summary>What is counted belongs to the whole process, so these run alone.</summary>
[CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
public sealed class RunsAlone;

[Collection(nameof(MemoryTests))]
public sealed class MemoryTests(ITestOutputHelper output) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-memory-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void More_slices_in_a_step_need_no_more_memory()
    {
        var tokens = TokensFolder.Write(_folder);
        long[] most = [Most(slices: 2), Most(slices: 64)];
        Assert.Equal(most[0], most[1]);

        long Most(int slices)
        {
            var before = ModelMemory.Bytes;
            using var model = new LanguageModelTraining(LanguageModelTests.Recipe(slices), tokens);
            model.Initialize(1);
            ModelMemory.ForgetMost();
            model.ComputeSlice(0, 0);
            var managed = GC.GetAllocatedBytesForCurrentThread();
            for (var slice = 1; slice < slices; slice++) model.ComputeSlice(0, slice);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - managed, 0, 1024);
            return ModelMemory.MostBytes - before;
        }
    }

    [Fact]
    public void Only_adapters_are_exchanged_and_the_frozen_model_has_no_gradient()
    {
        var recipe = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["contextTokens"] = "16", ["model.rank"] = "2", ["model.precision"] = "bf16" }, seed: 3);
        var shape = new LanguageModelConfig { VocabularySize = 80, Layers = 2, Width = 64, Heads = 4, FeedForward = 96, ContextTokens = 16 };
        using (var model = new LanguageModel(shape)) model.Save(Path.Combine(_folder, "base"));
        var tokens = TokensFolder.Write(_folder);
        var before = ModelMemory.Bytes;
        using var training = new LanguageModelFineTuning(recipe, tokens, Path.Combine(_folder, "base"));
        Assert.Equal(LanguageModelFineTuning.CountParameters(recipe, shape), training.ParameterCount);
        Assert.True(training.ParameterCount * 10 < shape.ParameterCount);
        // Two bytes a frozen weight, eight an adapter's weight and gradient, and the position table and scratch of any model.
        Assert.InRange(ModelMemory.Bytes - before, 2 * shape.ParameterCount, 2 * shape.ParameterCount + 8L * training.ParameterCount + (64 << 10));
    }

    [Theory]
    [InlineData(1, "")]
    [InlineData(3, "slices=6")]
    [InlineData(1, "model.recompute=true")]
    [InlineData(1, "optimizer.kind=lion")]
    public async Task A_worker_holds_what_the_plan_says_to_a_tenth(int workers, string more)
    {
        var tokens = TokensFolder.Write(_folder);
        var parameters = new Dictionary<string, string>
        {
            ["steps"] = "4", ["slices"] = "3", ["sequencesPerSlice"] = "4", ["contextTokens"] = "64", ["checkpointEvery"] = "2",
            ["model.layers"] = "4", ["model.width"] = "256", ["model.heads"] = "4", ["model.feedForward"] = "688",
        };
        if (more.Length > 0) parameters[more.Split('=')[0]] = more.Split('=')[1];
        var recipe = TrainingRecipe.FromParameters(parameters, seed: 3);
        var config = LanguageModelTraining.ConfigOf(recipe, TokensDescription.Read(tokens));
        var plan = MemoryPlan.Of(config, null, recipe, workers);

        // Threads of a run before may still be ending, and hold its buffers until then.
        var waited = System.Diagnostics.Stopwatch.StartNew();
        while (SharedBuffer.Bytes > 0 && waited.Elapsed < TimeSpan.FromSeconds(20))
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            await Task.Delay(20, CancellationToken.None);
        }

        Assert.Equal(0, SharedBuffer.Bytes);
        long Held() => GC.GetTotalMemory(forceFullCollection: true) + ModelMemory.Bytes + SharedBuffer.Bytes;
        var (before, modelBefore, held, parts) = (Held(), ModelMemory.Bytes, 0L, "");
        byte[] secret = [9, 9, 9];
        await using var coordinator = Coordinator.Start(new CoordinatorOptions { Secret = secret, MinimumWorkers = workers });
        await Task.WhenAll(Enumerable.Range(0, workers).Select(i => Training.Worker.RunAsync(
            new WorkerOptions
            {
                Name = $"w{i}",
                Coordinator = coordinator.EndPoint,
                Secret = secret,
                Recipe = recipe,
                Model = recipe => new LanguageModelTraining(recipe, tokens),
                Store = new FolderCheckpointStore(Path.Combine(_folder, "store")),
                ScratchFolder = Path.Combine(_folder, $"scratch-{i}"),
                Progress = at =>
                {
                    if (i != 0 || at.Step != 4 || held != 0) return;
                    held = (Held() - before) / workers;
                    parts = $"models {Mb((ModelMemory.Bytes - modelBefore) / workers)}, exchange and copies {Mb(SharedBuffer.Bytes / workers)}";
                },
            },
            CancellationToken.None))).WaitAsync(TimeSpan.FromSeconds(120));
        output.WriteLine($"{workers} workers {more}: planned {Mb(plan.Total)} (weights {Mb(plan.Weights)}, gradients {Mb(plan.Gradients)}, optimiser {Mb(plan.Optimizer)}, sums {Mb(plan.Sums)}, activations {Mb(plan.Activations)}, buffers {Mb(plan.Buffers)}, snapshot {Mb(plan.Snapshot)}); held {Mb(held)} ({parts})");
        Assert.InRange(workers * held, 0.9 * plan.OfAllWorkers, 1.1 * plan.OfAllWorkers);
    }

    private static string Mb(long bytes) => $"{bytes / 1e6:F1} MB";
}
