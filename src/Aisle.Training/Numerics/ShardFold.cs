using System.Runtime.CompilerServices;

namespace Aisle.Training.Numerics;

/// <summary>How an addend's numbers are written.</summary>
internal enum NumberForm : byte
{
    /// <summary>One slice's values, not rounded yet: whoever adds them rounds them.</summary>
    Float32,

    /// <summary>A sum of rounded values.</summary>
    Fixed64,

    /// <summary>The same as <see cref="PackedBlocks"/>.</summary>
    Packed,
}

/// <summary>Numbers to be added to a shard's sum, where they lie.</summary>
/// <param name="Bytes">Of packed numbers.</param>
internal readonly unsafe record struct Addend(NumberForm Form, nint At, int Bytes = 0, int Elements = 0);

/// <summary>
/// The sum of a shard in one pass over all its addends: sixteen numbers of each are rounded and added in registers and leave as means, so a number is read once
/// and its mean written once, whatever the number of addends. Packed ones are unpacked stretch by stretch, in the first-level cache.
/// </summary>
internal static unsafe class ShardFold
{
    private const int StretchElements = 1024; // of 8 bytes; whole blocks of PackedBlocks

    /// <summary>Writes the mean of the addends' sum. All have as many numbers as <paramref name="mean"/>; packed ones have been found well-formed.</summary>
    /// <returns>False when a value was NaN, infinite or too large.</returns>
    [SkipLocalsInit]
    public static bool Reduce(ReadOnlySpan<Addend> addends, Span<float> mean, int fractionBits, double divisor)
    {
        var isFew = addends.Length <= 64;
        Span<nint> floats = isFew ? stackalloc nint[addends.Length] : new nint[addends.Length];
        Span<nint> sums = isFew ? stackalloc nint[addends.Length + 1] : new nint[addends.Length + 1];
        Span<int> packedAt = isFew ? stackalloc int[addends.Length] : new int[addends.Length];
        packedAt.Clear();
        var (floatCount, sumCount) = (0, 0);
        foreach (var addend in addends)
        {
            if (addend.Form == NumberForm.Float32) floats[floatCount++] = addend.At;
            else if (addend.Form == NumberForm.Fixed64) sums[sumCount++] = addend.At;
        }
        var isPacked = floatCount + sumCount < addends.Length;
        var unpacked = stackalloc long[StretchElements];
        var step = isPacked ? StretchElements : mean.Length;
        var fits = true;
        for (var start = 0; start < mean.Length; start += step)
        {
            var length = Math.Min(step, mean.Length - start);
            if (isPacked)
            {
                Unpack(addends, new Span<long>(unpacked, length), packedAt);
                sums[sumCount] = (nint)(unpacked - start);
            }
            fits &= FixedPoint.MeanOf(floats[..floatCount], sums[..(isPacked ? sumCount + 1 : sumCount)], start, mean.Slice(start, length), fractionBits, divisor);
        }
        return fits;
    }

    /// <summary>Adds one addend to a sum that is kept.</summary>
    /// <param name="isFirst">Whether the sum begins with it, whatever stood there.</param>
    /// <returns>False when a value was NaN, infinite or too large.</returns>
    public static bool AddTo(Span<long> sum, Addend addend, int fractionBits, bool isFirst)
    {
        switch (addend.Form)
        {
            case NumberForm.Float32:
                return FixedPoint.Accumulate(new ReadOnlySpan<float>((float*)addend.At, sum.Length), sum, fractionBits, isFirst);
            case NumberForm.Fixed64:
                var values = new ReadOnlySpan<long>((long*)addend.At, sum.Length);
                if (isFirst) values.CopyTo(sum);
                else FixedPoint.Add(values, sum);
                return true;
            default:
                if (isFirst) sum.Clear();
                var packed = new ReadOnlySpan<byte>((byte*)addend.At, addend.Bytes);
                PackedBlocks.AddNext(sum, ref packed);
                return true;
        }
    }

    private static void Unpack(ReadOnlySpan<Addend> addends, Span<long> sum, Span<int> packedAt)
    {
        sum.Clear();
        for (var i = 0; i < addends.Length; i++)
        {
            if (addends[i].Form != NumberForm.Packed) continue;
            var packed = new ReadOnlySpan<byte>((byte*)addends[i].At + packedAt[i], addends[i].Bytes - packedAt[i]);
            PackedBlocks.AddNext(sum, ref packed);
            packedAt[i] = addends[i].Bytes - packed.Length;
        }
    }
}
