namespace Aisle.Tensors;

/// <summary>The gradients of parameters [offset, offset + length) are final. Called on the computing thread in mid-pass: what it does now finds them in the cache.</summary>
public delegate void GradientReady(int offset, int length);

public sealed partial class LanguageModel
{
    /// <summary>Overwrites the gradient arena with the gradient of the sum (not the mean) of all tokens' cross-entropies.</summary>
    /// <param name="tokens">Row-major [sequences, length + 1]: each row gives <paramref name="length"/> inputs and, one place later, their targets.</param>
    /// <param name="sequences">At least 1.</param>
    /// <param name="length">Tokens predicted per sequence, at most the model's context.</param>
    /// <param name="ready">Told each range of <see cref="Gradients"/> as soon as it is final, while the rest is still computed: every element once, or nothing at all.</param>
    /// <returns>The sum of sequences × length cross-entropies, in nats, added up in double in a fixed order.</returns>
    /// <exception cref="AisleException">AISLE-5012: a token outside the vocabulary.</exception>
    public double ComputeGradient(ReadOnlySpan<int> tokens, int sequences, int length, GradientReady? ready = null)
    {
        CheckTokens(Config, tokens, sequences, length, extra: 1);
        return _arithmetic.Gradient(tokens, sequences, length, ready);
    }

    /// <summary>The same sum as <see cref="ComputeGradient"/> returns, without touching the gradients.</summary>
    /// <inheritdoc cref="ComputeGradient"/>
    public double ComputeLoss(ReadOnlySpan<int> tokens, int sequences, int length)
    {
        CheckTokens(Config, tokens, sequences, length, extra: 1);
        return _arithmetic.Loss(tokens, sequences, length);
    }

    /// <summary>The scores of every next token after each of <paramref name="tokens"/>.</summary>
    /// <param name="tokens">One sequence, at most the model's context.</param>
    /// <returns>Row-major [tokens, vocabulary].</returns>
    /// <exception cref="AisleException">AISLE-5012: a token outside the vocabulary.</exception>
    public float[] ComputeLogits(ReadOnlySpan<int> tokens)
    {
        CheckTokens(Config, tokens, 1, tokens.Length, extra: 0);
        return _arithmetic.Logits(tokens);
    }

    internal static void CheckTokens(LanguageModelConfig config, ReadOnlySpan<int> tokens, int sequences, int length, int extra)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sequences, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, config.ContextTokens);
        if (tokens.Length != (long)sequences * (length + extra))
            throw new ArgumentException($"{sequences} sequences of {length} take {(long)sequences * (length + extra)} tokens (each row has {length} inputs and {extra} more); got {tokens.Length}.", nameof(tokens));
        for (var i = 0; i < tokens.Length; i++)
        {
            if ((uint)tokens[i] >= (uint)config.VocabularySize)
                throw new AisleException("AISLE-5012", $"Token {tokens[i]} at position {i} is not among the {config.VocabularySize} the model knows.",
                    "Use the tokenizer the model was trained with.");
        }
    }
}
