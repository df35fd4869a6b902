using Aisle.Training.Data;

namespace Aisle.Training.LanguageModels;

/// <summary>
/// A folder of tokens (<c>train.u16</c>, <c>tokens.json</c>, <c>tokenizer.json</c>) as a run's slices. Sample i is the T + 1 tokens from i·T on: each predicts
/// the next; the samples of a step are the next ones in the permuted order.
/// </summary>
internal sealed class TokenSamples : IDisposable
{
    private readonly TrainingRecipe _recipe;
    private readonly TokenFile _tokens;
    private readonly SamplePermutation _order;
    private readonly string _folder;
    private readonly int[] _slice;

    /// <exception cref="AisleException">AISLE-5140: too few tokens for one sample; AISLE-5142: the folder does not hold them.</exception>
    public TokenSamples(TrainingRecipe recipe, string folder, TokensDescription description)
    {
        (_recipe, _folder) = (recipe, folder);
        var samples = (description.TrainTokens - 1) / recipe.ContextTokens;
        if (samples < 1)
            throw new AisleException("AISLE-5140", $"{description.TrainTokens} training tokens are fewer than one sample of {recipe.ContextTokens + 1}.", "Give more text, or a smaller contextTokens.");
        _order = new SamplePermutation(recipe.Seed, samples);
        _tokens = new TokenFile(Path.Combine(folder, "train.u16"), description.TrainTokens);
        _slice = new int[recipe.SequencesPerSlice * (recipe.ContextTokens + 1)];
    }

    public long TokensPerSlice => (long)_recipe.SequencesPerSlice * _recipe.ContextTokens;

    /// <returns>[sequences of a slice, context + 1]; overwritten by the next call.</returns>
    /// <exception cref="AisleException">AISLE-5143: a token that the model does not know.</exception>
    public ReadOnlySpan<int> Of(long step, int slice, int vocabularySize)
    {
        var length = _recipe.ContextTokens + 1;
        for (var sequence = 0; sequence < _recipe.SequencesPerSlice; sequence++)
        {
            var position = (step * _recipe.Slices + slice) * _recipe.SequencesPerSlice + sequence;
            _tokens.Copy(_order.SampleAt(position) * _recipe.ContextTokens, _slice.AsSpan(sequence * length, length), vocabularySize);
        }

        return _slice;
    }

    /// <summary>The tokenizer belongs beside the model that reads its tokens.</summary>
    public void CopyTokenizer(string folder) => File.Copy(Path.Combine(_folder, "tokenizer.json"), Path.Combine(folder, "tokenizer.json"), overwrite: true);

    public void Dispose() => _tokens.Dispose();
}
