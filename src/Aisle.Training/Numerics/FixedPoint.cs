using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>
/// Sums in which order cannot matter: each slice's gradient is rounded once to a 64-bit fixed-point number, <c>q = round(g · 2^bits)</c>,
/// and from then on only integers are added. Any grouping gives the same bits.
/// </summary>
public static class FixedPoint
{
    /// <summary>A rounded value stays below 2^51 in magnitude, so that 4096 of them fit a signed 64-bit sum.</summary>
    public const int MagnitudeBits = 51;

    // Adding 1.5·2^52 to a double below 2^51 leaves its value, rounded half to even, in the low bits of the sum's representation.
    private const double Magic = 6755399441055744.0;
    private const long MagicBits = 0x4338_0000_0000_0000;
    private const double Limit = 1L << MagnitudeBits;

    /// <summary>Adds the rounded gradient to <paramref name="sum"/>, element by element.</summary>
    /// <returns>False when an element was NaN, infinite or too large: it added nothing, and the step must be skipped by everyone.</returns>
    /// <param name="isFirst">Whether <paramref name="sum"/> begins with this gradient, whatever stood there: spares clearing it.</param>
    public static bool Accumulate(ReadOnlySpan<float> gradient, Span<long> sum, int fractionBits, bool isFirst = false)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(sum.Length, gradient.Length);
        var scale = PowerOfTwo(fractionBits);
        var vectors = MemoryMarshal.Cast<float, Vector256<float>>(gradient);
        var scales = Vector256.Create(scale);
        var inRange = Vector256<double>.AllBitsSet;
        ref var target = ref MemoryMarshal.GetReference(sum);
        nuint at = 0;
        foreach (var vector in vectors)
        {
            var (lower, upper) = Vector256.Widen(vector);
            Add(lower * scales, ref target, at, isFirst, ref inRange);
            Add(upper * scales, ref target, at + 4, isFirst, ref inRange);
            at += 8;
        }
        var allInRange = inRange.AsUInt64() == Vector256<ulong>.AllBitsSet;
        for (var i = vectors.Length * Vector256<float>.Count; i < gradient.Length; i++)
        {
            if (isFirst) sum[i] = 0;
            allInRange &= AccumulateOne(gradient[i], ref sum[i], scale);
        }
        return allInRange;

        static void Add(Vector256<double> scaled, ref long target, nuint at, bool isFirst, ref Vector256<double> inRange)
        {
            var fits = Vector256.LessThan(Vector256.Abs(scaled), Vector256.Create(Limit));
            inRange &= fits;
            var rounded = (scaled + Vector256.Create(Magic)).AsInt64() - Vector256.Create(MagicBits);
            var before = isFirst ? Vector256<long>.Zero : Vector256.LoadUnsafe(ref target, at);
            (before + (rounded & fits.AsInt64())).StoreUnsafe(ref target, at);
        }
    }

    /// <summary>The same, one element at a time: the definition that the vector form must agree with bit for bit.</summary>
    public static bool AccumulateScalar(ReadOnlySpan<float> gradient, Span<long> sum, int fractionBits)
    {
        var scale = PowerOfTwo(fractionBits);
        var allInRange = true;
        for (var i = 0; i < gradient.Length; i++) allInRange &= AccumulateOne(gradient[i], ref sum[i], scale);
        return allInRange;
    }

    private static bool AccumulateOne(float gradient, ref long sum, double scale)
    {
        var scaled = gradient * scale;
        if (!(Math.Abs(scaled) < Limit)) return false;
        sum += BitConverter.DoubleToInt64Bits(scaled + Magic) - MagicBits;
        return true;
    }

    /// <summary>Adds one sum to another.</summary>
    public static void Add(ReadOnlySpan<long> values, Span<long> sum)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(sum.Length, values.Length);
        var vectors = MemoryMarshal.Cast<long, Vector256<long>>(sum);
        var others = MemoryMarshal.Cast<long, Vector256<long>>(values);
        for (var i = 0; i < vectors.Length; i++) vectors[i] += others[i];
        for (var i = vectors.Length * Vector256<long>.Count; i < sum.Length; i++) sum[i] += values[i];
    }

    /// <summary>Rounds one number for a fold of its own, e.g. a slice's loss; null when it does not fit.</summary>
    public static long? Round(double value, int fractionBits)
    {
        var scaled = value * PowerOfTwo(fractionBits);
        return Math.Abs(scaled) < Limit ? BitConverter.DoubleToInt64Bits(scaled + Magic) - MagicBits : null;
    }

    /// <summary>Back from a full sum to the gradient's mean: <c>float(double(sum) · 2^-bits / divisor)</c>, rounded in this order everywhere.</summary>
    public static void Mean(ReadOnlySpan<long> sum, Span<float> mean, int fractionBits, double divisor)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(mean.Length, sum.Length);
        var scale = PowerOfTwo(-fractionBits);
        ref var source = ref MemoryMarshal.GetReference(sum);
        ref var target = ref MemoryMarshal.GetReference(mean);
        var (scales, divisors) = (Vector256.Create(scale), Vector256.Create(divisor));
        nuint i = 0;
        for (; i + 8 <= (nuint)sum.Length; i += 8)
        {
            var lower = Vector256.ConvertToDouble(Vector256.LoadUnsafe(ref source, i)) * scales / divisors;
            var upper = Vector256.ConvertToDouble(Vector256.LoadUnsafe(ref source, i + 4)) * scales / divisors;
            Vector256.Narrow(lower, upper).StoreUnsafe(ref target, i);
        }
        for (; i < (nuint)sum.Length; i++) mean[(int)i] = (float)(sum[(int)i] * scale / divisor);
    }

    /// <summary>Exactly 2^exponent, for −1022 to 1023.</summary>
    public static double PowerOfTwo(int exponent) => BitConverter.Int64BitsToDouble((long)(exponent + 1023) << 52);
}
