namespace Aisle.Tensors;

/// <summary>Who computes a language model: libtorch, or exact C#. Works on the model's arenas; one thread.</summary>
internal interface ILanguageModelArithmetic : IDisposable
{
    /// <summary>Overwrites the gradient arena with the gradient of the summed cross-entropies and returns the sum. Arguments are checked already.</summary>
    /// <param name="tokens">[sequences, length + 1].</param>
    /// <param name="ready">Told each range of the arena as soon as it is final: every element once, or nothing at all.</param>
    double Gradient(ReadOnlySpan<int> tokens, int sequences, int length, GradientReady? ready);

    /// <summary>The sum alone; the gradient arena stays as it is.</summary>
    double Loss(ReadOnlySpan<int> tokens, int sequences, int length);

    /// <summary>[tokens, vocabulary] of one sequence.</summary>
    float[] Logits(ReadOnlySpan<int> tokens);
}
