namespace Aisle.Tensors;

/// <summary>Who computes a language model: libtorch, or exact C#. Works on the model's arenas; one thread.</summary>
internal interface ILanguageModelArithmetic : IDisposable
{
    /// <summary>Adds the gradient of the summed cross-entropies to the gradient arena and returns the sum. Arguments are checked already.</summary>
    /// <param name="tokens">[sequences, length + 1].</param>
    double Gradient(ReadOnlySpan<int> tokens, int sequences, int length);

    /// <summary>The sum alone; the gradient arena stays as it is.</summary>
    double Loss(ReadOnlySpan<int> tokens, int sequences, int length);

    /// <summary>[tokens, vocabulary] of one sequence.</summary>
    float[] Logits(ReadOnlySpan<int> tokens);
}
