using Aisle.Tensors;
using Aisle.Training.Numerics;

namespace Aisle.Training.LanguageModels;

/// <summary>
/// A frozen language model whose low-rank adapters learn from a folder of tokens (<see cref="TokenSamples"/>). Only the adapters are exchanged, optimised and
/// checkpointed; the frozen weights are read from their folder by each worker, and the run's canary shows that all read the same.
/// </summary>
public sealed class LanguageModelFineTuning : ITrainable
{
    /// <summary>Where a finished model's folder keeps the adapter alone; beside it lies the merged model.</summary>
    public const string AdapterFolder = "adapter";

    private readonly TrainingRecipe _recipe;
    private readonly AdaptedLanguageModel _model;
    private readonly TokenSamples _samples;

    /// <param name="modelFolder">The frozen model, in Hugging Face's layout. Stays where it is until this is disposed.</param>
    /// <exception cref="AisleException">
    /// AISLE-5010 to 5023: the model cannot be read, or the adapters do not fit it. AISLE-5140 to 5144: the folder does not hold tokens, or too few. AISLE-5147: the two
    /// do not belong together.
    /// </exception>
    public LanguageModelFineTuning(TrainingRecipe recipe, string tokensFolder, string modelFolder)
    {
        _recipe = recipe;
        var description = TokensDescription.Read(tokensFolder);
        Check(recipe, LanguageModel.ReadConfig(modelFolder), description);
        _samples = new TokenSamples(recipe, tokensFolder, description);
        _model = AdaptedLanguageModel.Load(modelFolder, LoraOf(recipe), ModelKeys.OptionsOf(recipe, description.EndOfText));
        Runs = [.. _model.Slots.Select(slot => new ParameterRun(slot.Offset, slot.Length, slot.Decays ? ParameterKind.Decayed : ParameterKind.Undecayed))];
    }

    public int ParameterCount => _model.ParameterCount;

    public Span<float> Weights => _model.Weights;

    public Span<float> Gradients => _model.Gradients;

    public IReadOnlyList<ParameterRun> Runs { get; }

    public long TokensIn(long step) => _recipe.TokensPerStep;

    /// <summary>Parameters that learn: what the coordinator must know of a run, without reading weights.</summary>
    /// <exception cref="AisleException">AISLE-5015, 5144: the recipe's adapters do not fit the model.</exception>
    public static int CountParameters(TrainingRecipe recipe, LanguageModelConfig frozen) => AdaptedLanguageModel.CountParameters(frozen, LoraOf(recipe));

    /// <summary>The adapters of a recipe: <c>model.rank</c>, <c>model.alpha</c> and <c>model.targets</c> (names with commas between them; none for all of attention).</summary>
    public static LoraOptions LoraOf(TrainingRecipe recipe)
    {
        recipe.RefuseOtherModelKeys("base", "rank", "alpha", "targets", ModelKeys.Precision, ModelKeys.Recompute, ModelKeys.SeparateDocuments);
        return new LoraOptions
        {
            Rank = ModelKeys.Whole(recipe, "rank", 8),
            Alpha = ModelKeys.Number(recipe, "alpha", 16),
            Targets = [.. recipe.Model.GetValueOrDefault("targets", "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)],
        };
    }

    public void Initialize(ulong seed) => _model.Initialize(seed);

    public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null) =>
        new(_model.ComputeGradient(_samples.Of(step, slice, _model.Config.VocabularySize), _recipe.SequencesPerSlice, _recipe.ContextTokens, ready), _samples.TokensPerSlice);

    /// <summary>The merged model, which any tool loads, with the tokens' tokenizer; and the adapter alone in a folder of its own.</summary>
    public void SaveModel(string folder)
    {
        _model.SaveMerged(folder);
        _model.SaveAdapter(Path.Combine(folder, AdapterFolder), _recipe.Model.GetValueOrDefault("base", ""));
        _samples.CopyTokenizer(folder);
    }

    public void Dispose()
    {
        _model.Dispose();
        _samples.Dispose();
    }

    private static void Check(TrainingRecipe recipe, LanguageModelConfig frozen, TokensDescription tokens)
    {
        if (recipe.ContextTokens > frozen.ContextTokens)
            throw new AisleException("AISLE-5147", $"contextTokens is {recipe.ContextTokens}, and the model sees at most {frozen.ContextTokens}.", "Set a smaller contextTokens.");
        if (tokens.VocabularySize > frozen.VocabularySize)
            throw new AisleException("AISLE-5147", $"The tokens are of a vocabulary of {tokens.VocabularySize}, and the model knows {frozen.VocabularySize}.",
                "Make the tokens with the model's own tokenizer: give the model as the `vocabulary` of the `tokenize` step.");
    }
}
