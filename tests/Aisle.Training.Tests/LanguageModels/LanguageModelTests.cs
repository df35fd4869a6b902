using System.Buffers.Binary;
using Aisle.Artifacts;
using Aisle.Tensors;
using Aisle.Training.Checkpoints;
using Aisle.Training.LanguageModels;

namespace Aisle.Training.Tests.LanguageModels;

/// <summary>The real language model, tiny. Workers share this process and libtorch, each with a model and a computing thread of its own.</summary>
public sealed class LanguageModelTests : IDisposable
{
    private const int Vocabulary = 64;
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-language-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task One_and_three_workers_train_one_model_that_predicts_better_than_chance()
    {
        var tokens = WriteTokens();
        var alone = await TrainAsync(tokens, workers: 1);
        var together = await TrainAsync(tokens, workers: 3);
        Assert.Equal(alone.Model, together.Model);
        Assert.Equal(alone.LossPerToken, together.LossPerToken);

        var model = new FolderCheckpointStore(Path.Combine(_folder, "store")).PathOf(alone.Model!.Value);
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], Directory.EnumerateFiles(model).Select(Path.GetFileName).Order());
        var evaluation = await LanguageModelEvaluation.RunAsync(model, tokens, null, CancellationToken.None);
        Assert.True(evaluation.LossPerToken < Math.Log(Vocabulary) - 0.5, $"{evaluation.LossPerToken} nats a token is no better than chance.");
        Assert.Equal(evaluation, await LanguageModelEvaluation.RunAsync(model, tokens, null, CancellationToken.None));
    }

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

    private string WriteTokens()
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, "tokens")).FullName;
        Write("train.u16", 6000, seed: 1);
        Write("validation.u16", 700, seed: 2);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), "{}");
        File.WriteAllText(
            Path.Combine(folder, TokensDescription.FileName),
            $$"""{"vocabularySize": {{Vocabulary}}, "endOfText": 0, "trainTokens": 6000, "validationTokens": 700, "validationBytes": 2100}""");
        return folder;

        void Write(string name, int count, int seed)
        {
            var random = new Random(seed);
            var bytes = new byte[count * 2];
            var token = 1;
            for (var i = 0; i < count; i++)
            {
                token = (token * 5 + random.Next(3)) % Vocabulary;
                BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(i * 2), (ushort)token);
            }
            File.WriteAllBytes(Path.Combine(folder, name), bytes);
        }
    }
}
