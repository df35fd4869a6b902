namespace Aisle.Training.Numerics;

/// <summary>How many bits of a mean gradient its owner publishes.</summary>
public enum PublishedForm
{
    /// <summary>All.</summary>
    Float32,

    /// <summary>Sixteen: the upper half of a float, rounded half to even.</summary>
    BFloat16,

    /// <summary>Eight: blocks of 256 in whole multiples, −127 to 127, of a power of two of their own, rounded half to even.</summary>
    Int8,
}

/// <summary>
/// The second leg of an exchange, compressed: an owner publishes a rounded mean and keeps what the rounding left out, to add it to the next step's. Over steps nothing
/// is lost, only late.
/// </summary>
/// <remarks>
/// Source: Seide et al., "1-Bit Stochastic Gradient Descent" (2014), section 3, on the owner's side alone: a residual kept by a worker for its own slices would be
/// history that dies with it and depends on who computed what. The residual is state like an optimiser's arena: whoever owns the range carries it on.
/// </remarks>
public static class PublishedGradient
{
    public const int BlockElements = PackedBlocks.BlockElements;

    /// <summary>Replaces <paramref name="mean"/> by what is published, and <paramref name="residual"/> by what is still owed.</summary>
    /// <param name="mean">A range that begins at a multiple of <see cref="BlockElements"/> in the model: then ranges one by one give the bits of the whole.</param>
    public static void Round(Span<float> mean, Span<float> residual, PublishedForm form)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(residual.Length, mean.Length);
        if (form == PublishedForm.Float32) return;
        for (var start = 0; start < mean.Length; start += BlockElements)
        {
            var block = mean.Slice(start, Math.Min(BlockElements, mean.Length - start));
            var owed = residual.Slice(start, block.Length);
            var largest = 0f;
            for (var i = 0; i < block.Length; i++)
            {
                owed[i] += block[i];
                largest = MathF.Max(largest, MathF.Abs(owed[i]));
            }
            // Powers of two, so scaling is exact.
            var exponent = largest == 0 ? 0 : Math.Clamp(Math.ILogB(largest) - 5, -126, 120);
            var (quantum, inverse) = ((float)FixedPoint.PowerOfTwo(exponent), (float)FixedPoint.PowerOfTwo(-exponent));
            for (var i = 0; i < block.Length; i++)
            {
                block[i] = form == PublishedForm.BFloat16 ? ToBFloat16(owed[i]) : MathF.Round(owed[i] * inverse) * quantum;
                owed[i] -= block[i];
            }
        }
    }

    private static float ToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        bits += 0x7FFF + ((bits >> 16) & 1);
        return BitConverter.UInt32BitsToSingle(bits & 0xFFFF_0000);
    }
}
