using Aisle.Tensors;
using Aisle.Training.LanguageModels;

namespace Aisle.Training.Tests.LanguageModels;

/// <summary>What is counted belongs to the whole process, so these run alone.</summary>
[CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
public sealed class RunsAlone;

[Collection(nameof(MemoryTests))]
public sealed class MemoryTests : IDisposable
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
}
