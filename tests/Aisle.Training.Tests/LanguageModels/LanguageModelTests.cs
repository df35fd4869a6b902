using Aisle.Artifacts;
using Aisle.Tensors;
using Aisle.Training.Checkpoints;
using Aisle.Training.LanguageModels;

namespace Aisle.Training.Tests.LanguageModels;

/// <summary>The real language model, tiny. Workers share this process and libtorch, each with a model and a computing thread of its own.</summary>
public sealed class LanguageModelTests : IDisposable
{
    private const int Vocabulary = TokensFolder.Vocabulary;
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-language-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task One_and_three_workers_train_one_model_that_predicts_better_than_chance()
    {
        var tokens = TokensFolder.Write(_folder);
        var alone = await TrainAsync(tokens, workers: 1);
        var together = await TrainAsync(tokens, workers: 3);
        Assert.Equal(alone.Model, together.Model);
        Assert.Equal(alone.LossPerToken, together.LossPerToken);

        var model = new FolderCheckpointStore(Path.Combine(_folder, "store")).PathOf(alone.Model!.Value);
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], Directory.EnumerateFiles(model).Select(Path.GetFileName).Order());
        var evaluation = await LanguageModelEvaluation.RunAsync(model, tokens, separateDocuments: false, null, CancellationToken.None);
        Assert.True(evaluation.LossPerToken < Math.Log(Vocabulary) - 0.5, $"{evaluation.LossPerToken} nats a token is no better than chance.");
        Assert.Equal(evaluation, await LanguageModelEvaluation.RunAsync(model, tokens, separateDocuments: false, null, CancellationToken.None));
    }

    [Fact]
    public void Weights_rounded_to_bfloat16_and_recomputed_layers_are_options_of_a_recipe()
    {
        var tokens = TokensFolder.Write(_folder);
        float[] plain = Gradient([]), recomputed = Gradient([("model.recompute", "true")]), rounded = Gradient([("model.precision", "bf16")]);
        Assert.Equal(plain, recomputed);
        Assert.NotEqual(plain, rounded);
        Assert.Equal("AISLE-5144", Assert.Throws<AisleException>(() => Gradient([("model.precision", "fp8")])).Code);
        Assert.Equal("AISLE-5144", Assert.Throws<AisleException>(() => Gradient([("model.recompute", "yes")])).Code);

        float[] Gradient((string Name, string Value)[] more)
        {
            using var model = new LanguageModelTraining(Recipe(slices: 6, more), tokens);
            model.Initialize(1);
            model.ComputeSlice(0, 0);
            return model.Gradients.ToArray();
        }
    }

    internal static TrainingRecipe Recipe(int slices, params (string Name, string Value)[] more) => TrainingRecipe.FromParameters(
        new Dictionary<string, string>(more.Select(pair => KeyValuePair.Create(pair.Name, pair.Value)))
        {
            ["slices"] = $"{slices}", ["sequencesPerSlice"] = "2", ["contextTokens"] = "16", ["model.layers"] = "3", ["model.width"] = "32", ["model.heads"] = "2", ["model.feedForward"] = "48",
        },
        seed: 3);

    private async Task<TrainingOutcome> TrainAsync(string tokens, int workers)
    {
        var recipe = TrainingRecipe.FromParameters(
            new Dictionary<string, string>
            {
                ["steps"] = "30", ["slices"] = "6", ["sequencesPerSlice"] = "2", ["contextTokens"] = "16", ["optimizer.learningRate"] = "0.01", ["optimizer.warmupSteps"] = "2",
                ["model.layers"] = "1", ["model.width"] = "32", ["model.heads"] = "2", ["model.feedForward"] = "48",
            },
            seed: 3);
        byte[] secret = [9, 9, 9];
        await using var coordinator = Coordinator.Start(new CoordinatorOptions
        {
            Recipe = recipe,
            ParameterCount = (int)LanguageModelTraining.ConfigOf(recipe, TokensDescription.Read(tokens)).ParameterCount,
            Secret = secret,
            MinimumWorkers = workers,
        });
        var running = Enumerable.Range(0, workers).Select(i => Training.Worker.RunAsync(
            new WorkerOptions
            {
                Name = $"w{i}",
                Coordinator = coordinator.EndPoint,
                Secret = secret,
                Recipe = recipe,
                Model = recipe => new LanguageModelTraining(recipe, tokens),
                NumericClass = NumericClass.OfThisMachine().Fingerprint,
                Store = new FolderCheckpointStore(Path.Combine(_folder, "store")),
                ScratchFolder = Path.Combine(_folder, $"scratch-{workers}-{i}"),
            },
            CancellationToken.None)).ToList();
        var outcomes = await Task.WhenAll(running).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.All(outcomes, outcome => Assert.Equal(30, outcome.Step));
        return await coordinator.Completion;
    }
}
