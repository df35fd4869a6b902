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
/// The sum of a shard in one pass over all its addends: a stretch that fits the first-level cache is rounded, added and turned into the mean before the next
/// is touched, so a number is read once and its mean written once, whatever the number of addends.
/// </summary>
internal static unsafe class ShardFold
{
    private const int StretchElements = 1024; // of 8 bytes; whole blocks of PackedBlocks

    /// <summary>Writes the mean of the addends' sum. All have as many numbers as <paramref name="mean"/>; packed ones have been found well-formed.</summary>
    /// <returns>False when a value was NaN, infinite or too large.</returns>
    [SkipLocalsInit]
    public static bool Reduce(ReadOnlySpan<Addend> addends, Span<float> mean, int fractionBits, double divisor)
    {
        Span<int> packedAt = addends.Length <= 64 ? stackalloc int[addends.Length] : new int[addends.Length];
        packedAt.Clear();
        Span<long> stretch = stackalloc long[StretchElements];
        var fits = true;
        for (var start = 0; start < mean.Length; start += StretchElements)
        {
            var sum = stretch[..Math.Min(StretchElements, mean.Length - start)];
            for (var i = 0; i < addends.Length; i++) fits &= Add(addends[i], start, sum, ref packedAt[i], fractionBits, isFirst: i == 0);
            FixedPoint.Mean(sum, mean.Slice(start, sum.Length), fractionBits, divisor);
        }
        return fits;
    }

    /// <summary>Adds one addend to a sum that is kept.</summary>
    /// <param name="isFirst">Whether the sum begins with it, whatever stood there.</param>
    /// <returns>False when a value was NaN, infinite or too large.</returns>
    public static bool AddTo(Span<long> sum, Addend addend, int fractionBits, bool isFirst)
    {
        var packedAt = 0;
        return Add(addend, 0, sum, ref packedAt, fractionBits, isFirst);
    }

    private static bool Add(Addend addend, int start, Span<long> sum, ref int packedAt, int fractionBits, bool isFirst)
    {
        switch (addend.Form)
        {
            case NumberForm.Float32:
                return FixedPoint.Accumulate(new ReadOnlySpan<float>((float*)addend.At + start, sum.Length), sum, fractionBits, isFirst);
            case NumberForm.Fixed64:
                var values = new ReadOnlySpan<long>((long*)addend.At + start, sum.Length);
                if (isFirst) values.CopyTo(sum);
                else FixedPoint.Add(values, sum);
                return true;
            default:
                if (isFirst) sum.Clear();
                var packed = new ReadOnlySpan<byte>((byte*)addend.At + packedAt, addend.Bytes - packedAt);
                PackedBlocks.AddNext(sum, ref packed);
                packedAt = addend.Bytes - packed.Length;
                return true;
        }
    }
}
