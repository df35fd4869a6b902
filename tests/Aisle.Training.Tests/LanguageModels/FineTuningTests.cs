using Aisle.Tensors;
using Aisle.Training.Checkpoints;
using Aisle.Training.LanguageModels;
using Aisle.Training.Tests.Processes;

namespace Aisle.Training.Tests.LanguageModels;

/// <summary>Adapters of a frozen model, trained by processes of their own.</summary>
public sealed class FineTuningTests : IDisposable
{
    private static readonly LanguageModelConfig s_shape = new()
    {
        Family = ModelFamily.Qwen2, VocabularySize = 80, Layers = 2, Width = 32, Heads = 4, KeyValueHeads = 2, FeedForward = 48, ContextTokens = 32,
    };

    private static readonly string[] s_parameters =
    [
        "steps=30", "slices=12", "sequencesPerSlice=2", "contextTokens=16", "optimizer.learningRate=0.02", "optimizer.weightDecay=0", "optimizer.warmupSteps=2", "checkpointEvery=10",
        "model.rank=4", "model.alpha=8", "model.targets=q_proj,v_proj,o_proj,up_proj,down_proj", "model.precision=bf16",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-fine-tuning-").FullName;

    public FineTuningTests()
    {
        using var model = new LanguageModel(s_shape);
        model.Initialize(8);
        // Adapters cannot reach the head: one that says nothing yet would leave them nothing to say.
        foreach (ref var weight in model.Weights.Slice(model.Slots[0].Offset, model.Slots[0].Length)) weight *= 10;
        model.Save(Path.Combine(_folder, "base"));
        TokensFolder.Write(_folder);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task One_worker_and_three_of_which_one_is_killed_make_one_adapter_and_one_merged_model()
    {
        var alone = await TrainAsync(workers: 1, kill: false);
        var together = await TrainAsync(workers: 3, kill: true);
        Assert.Equal(alone.Model, together.Model);
        Assert.Equal(alone.Checkpoints, together.Checkpoints);

        // The merged model is an ordinary one, better on these tokens than the frozen one it came from.
        var model = new FolderCheckpointStore(Path.Combine(_folder, "store")).PathOf(alone.Model!.Value);
        var tokens = Path.Combine(_folder, "tokens");
        var (before, after) = (await EvaluateAsync(Path.Combine(_folder, "base"), tokens), await EvaluateAsync(model, tokens));
        Assert.True(after < before - 0.3, $"{before} nats a token became {after}.");

        // And the adapter alone, over the frozen model, says what the merged one says.
        var recipe = Recipe([]);
        using var adapted = AdaptedLanguageModel.Load(Path.Combine(_folder, "base"), LanguageModelFineTuning.LoraOf(recipe), new LanguageModelOptions { Precision = WeightPrecision.BFloat16 });
        adapted.ReadAdapter(Path.Combine(model, LanguageModelFineTuning.AdapterFolder));
        using var merged = LanguageModel.Load(model);
        int[] text = [1, 5, 25, 61, 50, 59];
        var (expected, actual) = (adapted.ComputeLogits(text), merged.ComputeLogits(text));
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-3f);
    }

    [Theory]
    [InlineData("contextTokens=33", "AISLE-5147")]
    [InlineData("model.targets=c_attn", "AISLE-5015")]
    [InlineData("model.rank=many", "AISLE-5144")]
    public void A_recipe_that_does_not_fit_the_model_is_refused(string parameter, string code)
    {
        var recipe = Recipe([parameter]);
        Assert.Equal(code, Assert.Throws<AisleException>(() => new LanguageModelFineTuning(recipe, Path.Combine(_folder, "tokens"), Path.Combine(_folder, "base"))).Code);
    }

    private static TrainingRecipe Recipe(string[] more) => TrainingRecipe.FromParameters(
        s_parameters.Concat(more).GroupBy(parameter => parameter.Split('=')[0]).ToDictionary(group => group.Key, group => group.Last().Split('=')[1]), seed: 5);

    private async Task<TrainingOutcome> TrainAsync(int workers, bool kill)
    {
        await using var run = new ProcessRun(workers, _folder, parameters: s_parameters, tellRecipe: false);
        for (var i = 0; i < workers; i++) _ = run.StartWorker($"w{workers}-{i}");
        if (kill)
        {
            await run.Seen(happened => happened is StepCommitted { Step: >= 8 });
            run.Kill($"w{workers}-1");
        }

        var outcome = await run.CompletionAsync();
        Assert.Equal(kill ? 1 : 0, run.Events.OfType<WorkerLost>().Count());
        Assert.Equal(Enumerable.Range(1, 30).Select(step => (long)step), run.CommittedSteps);
        return outcome;
    }

    private static async Task<double> EvaluateAsync(string model, string tokens) =>
        (await LanguageModelEvaluation.RunAsync(model, tokens, separateDocuments: false, null, CancellationToken.None)).LossPerToken;
}
