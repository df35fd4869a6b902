using Aisle.Tensors;
using Aisle.Training.Numerics;

namespace Aisle.Training.LanguageModels;

/// <summary>A new language model over a folder of tokens (<see cref="TokenSamples"/>): all its weights learn, from the seed's.</summary>
public sealed class LanguageModelTraining : ITrainable
{
    private readonly TrainingRecipe _recipe;
    private readonly LanguageModel _model;
    private readonly TokenSamples _samples;

    /// <exception cref="AisleException">AISLE-5140 to 5144: the folder does not hold tokens, or too few, or the recipe's model cannot be built.</exception>
    public LanguageModelTraining(TrainingRecipe recipe, string tokensFolder)
    {
        _recipe = recipe;
        var description = TokensDescription.Read(tokensFolder);
        _samples = new TokenSamples(recipe, tokensFolder, description);
        _model = new LanguageModel(ConfigOf(recipe, description), ModelKeys.OptionsOf(recipe, description.EndOfText));
        Runs = [.. _model.Slots.Select(slot => new ParameterRun(slot.Offset, slot.Length, slot.Decays ? ParameterKind.Decayed : ParameterKind.Undecayed))];
    }

    public int ParameterCount => _model.ParameterCount;

    public Span<float> Weights => _model.Weights;

    public Span<float> Gradients => _model.Gradients;

    public IReadOnlyList<TensorSlot> Tensors => _model.Slots;

    public IReadOnlyList<ParameterRun> Runs { get; }

    public long TokensIn(long step) => _recipe.TokensPerStep;

    /// <summary>The model that a recipe describes, for the vocabulary its tokens were made with.</summary>
    /// <exception cref="AisleException">The shape is impossible; the message names every fault.</exception>
    public static LanguageModelConfig ConfigOf(TrainingRecipe recipe, TokensDescription tokens)
    {
        recipe.RefuseOtherModelKeys("layers", "width", "heads", "feedForward", ModelKeys.Precision, ModelKeys.Recompute, ModelKeys.SeparateDocuments);
        var config = new LanguageModelConfig
        {
            VocabularySize = tokens.VocabularySize,
            Layers = ModelKeys.Whole(recipe, "layers", 4),
            Width = ModelKeys.Whole(recipe, "width", 128),
            Heads = ModelKeys.Whole(recipe, "heads", 4),
            FeedForward = ModelKeys.Whole(recipe, "feedForward", 352),
            ContextTokens = recipe.ContextTokens,
        };
        config.Validate();
        return config;
    }

    public void Initialize(ulong seed) => _model.Initialize(seed);

    public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null) =>
        new(_model.ComputeGradient(_samples.Of(step, slice, _model.Config.VocabularySize), _recipe.SequencesPerSlice, _recipe.ContextTokens, ready), _samples.TokensPerSlice);

    public void SaveModel(string folder)
    {
        _model.Save(folder);
        _samples.CopyTokenizer(folder);
    }

    public void Dispose()
    {
        _model.Dispose();
        _samples.Dispose();
    }
}
