using Aisle.Tensors;
using Aisle.Training.Data;
using Aisle.Training.Numerics;

namespace Aisle.Training.LanguageModels;

/// <summary>
/// A language model over a folder of tokens (<c>train.u16</c>, <c>tokens.json</c>, <c>tokenizer.json</c>). Sample i is the T + 1 tokens from i·T on:
/// each predicts the next; the samples of a step are the next ones in the permuted order.
/// </summary>
public sealed class LanguageModelTraining : ITrainable
{
    private readonly TrainingRecipe _recipe;
    private readonly LanguageModel _model;
    private readonly TokenFile _tokens;
    private readonly SamplePermutation _order;
    private readonly string _folder;
    private readonly int[] _slice;

    /// <exception cref="AisleException">AISLE-5140: too few tokens for one sample; AISLE-5141 to 5143: the folder does not hold tokens.</exception>
    public LanguageModelTraining(TrainingRecipe recipe, string tokensFolder)
    {
        _recipe = recipe;
        _folder = tokensFolder;
        var description = TokensDescription.Read(tokensFolder);
        var samples = (description.TrainTokens - 1) / recipe.ContextTokens;
        if (samples < 1)
            throw new AisleException("AISLE-5140", $"{description.TrainTokens} training tokens are fewer than one sample of {recipe.ContextTokens + 1}.", "Give more text, or a smaller contextTokens.");
        _order = new SamplePermutation(recipe.Seed, samples);
        _tokens = new TokenFile(Path.Combine(tokensFolder, "train.u16"), description.TrainTokens);
        _model = new LanguageModel(ConfigOf(recipe, description));
        _slice = new int[recipe.SequencesPerSlice * (recipe.ContextTokens + 1)];
        Runs = [.. _model.Slots.Select(slot => new ParameterRun(slot.Offset, slot.Length, slot.Decays ? ParameterKind.Decayed : ParameterKind.Undecayed))];
    }

    public int ParameterCount => _model.ParameterCount;

    public Span<float> Weights => _model.Weights;

    public Span<float> Gradients => _model.Gradients;

    public IReadOnlyList<ParameterRun> Runs { get; }

    public long TokensIn(long step) => _recipe.TokensPerStep;

    /// <summary>The model that a recipe describes, for the vocabulary its tokens were made with.</summary>
    /// <exception cref="AisleException">The shape is impossible; the message names every fault.</exception>
    public static LanguageModelConfig ConfigOf(TrainingRecipe recipe, TokensDescription tokens)
    {
        recipe.RefuseOtherModelKeys("layers", "width", "heads", "feedForward");
        var config = new LanguageModelConfig
        {
            VocabularySize = tokens.VocabularySize,
            Layers = Whole("layers", 4),
            Width = Whole("width", 128),
            Heads = Whole("heads", 4),
            FeedForward = Whole("feedForward", 352),
            ContextTokens = recipe.ContextTokens,
        };
        config.Validate();
        return config;

        int Whole(string name, int otherwise) => !recipe.Model.TryGetValue(name, out var text) ? otherwise
            : int.TryParse(text, out var value) ? value
            : throw new AisleException("AISLE-5144", $"model.{name} is '{text}', not a whole number.", "Correct it in the spec.");
    }

    public void Initialize(ulong seed) => _model.Initialize(seed);

    public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null)
    {
        var length = _recipe.ContextTokens + 1;
        for (var sequence = 0; sequence < _recipe.SequencesPerSlice; sequence++)
        {
            var position = (step * _recipe.Slices + slice) * _recipe.SequencesPerSlice + sequence;
            _tokens.Copy(_order.SampleAt(position) * _recipe.ContextTokens, _slice.AsSpan(sequence * length, length), _model.Config.VocabularySize);
        }
        var loss = _model.ComputeGradient(_slice, _recipe.SequencesPerSlice, _recipe.ContextTokens, ready);
        return new SliceLoss(loss, (long)_recipe.SequencesPerSlice * _recipe.ContextTokens);
    }

    public void SaveModel(string folder)
    {
        _model.Save(folder);
        File.Copy(Path.Combine(_folder, "tokenizer.json"), Path.Combine(folder, "tokenizer.json"), overwrite: true);
    }

    public void Dispose()
    {
        _model.Dispose();
        _tokens.Dispose();
    }
}
