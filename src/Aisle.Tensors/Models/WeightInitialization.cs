namespace Aisle.Tensors;

/// <summary>
/// Starting weights as a pure function of (seed, tensor, element): the same bits on every machine and in any order, because only integer sums and one
/// multiplication are used. libtorch's own randn differs between instruction sets.
/// </summary>
/// <remarks>
/// A standard normal is approximated by the sum of twelve uniforms (Irwin–Hall): mean 0, variance 1, within ±6. Norms start at 1, biases at 0. Embeddings get deviation
/// 0.02; matrices 1/√(3·inputs), the variance of PyTorch's linear layers; the two matrices that feed the residual stream a further 1/√(2·layers), as in GPT-2.
/// </remarks>
internal static class WeightInitialization
{
    public static void Fill(Span<float> weights, IReadOnlyList<TensorSlot> slots, int layers, ulong seed)
    {
        for (var i = 0; i < slots.Count; i++)
        {
            var slot = slots[i];
            var target = weights.Slice(slot.Offset, slot.Length);
            if (!slot.Decays)
            {
                target.Fill(slot.Name.EndsWith(".bias", StringComparison.Ordinal) ? 0 : 1);
                continue;
            }

            Fill(target, Deviation(slot, layers), seed, i);
        }
    }

    private static double Deviation(TensorSlot slot, int layers)
    {
        if (slot.Name is "model.embed_tokens.weight" or "lm_head.weight" or "transformer.wte.weight" or "transformer.wpe.weight") return 0.02;
        var deviation = 1 / Math.Sqrt(3.0 * slot.Shape[1]);
        return slot.Name.EndsWith("o_proj.weight", StringComparison.Ordinal) || slot.Name.EndsWith("down_proj.weight", StringComparison.Ordinal)
            || slot.Name.EndsWith("c_proj.weight", StringComparison.Ordinal)
            ? deviation / Math.Sqrt(2.0 * layers)
            : deviation;
    }

    /// <summary>One matrix of deviation 1/√(3·inputs), a pure function of (seed, stream, element).</summary>
    public static void FillMatrix(Span<float> matrix, int inputs, ulong seed, int tensor) => Fill(matrix, 1 / Math.Sqrt(3.0 * inputs), seed, tensor);

    private static void Fill(Span<float> matrix, double deviation, ulong seed, int tensor)
    {
        var stream = SplitMix64.Mix(seed + SplitMix64.Mix((ulong)tensor + 1));
        for (var j = 0; j < matrix.Length; j++) matrix[j] = (float)(Normal(stream, (ulong)j) * deviation);
    }

    private static double Normal(ulong stream, ulong element)
    {
        return SplitMix64.Normal(Bits(0), Bits(1), Bits(2));

        ulong Bits(ulong part) => SplitMix64.Mix(stream + SplitMix64.Mix(element * 3 + part));
    }
}
