using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>
/// Sums in which order cannot matter: each slice's gradient is rounded once to a 64-bit fixed-point number, <c>q = round(g · 2^bits)</c>,
/// and from then on only integers are added. Any grouping gives the same bits.
/// </summary>
public static partial class FixedPoint
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
        // Below this a value fits, exactly: a power of two is the same in float, and scaling by one rounds nothing.
        var limit = (float)(Limit / scale);
        ref var source = ref MemoryMarshal.GetReference(gradient);
        ref var target = ref MemoryMarshal.GetReference(sum);
        nuint at = 0;
        var allInRange = true;
        if (Vector512.IsHardwareAccelerated)
        {
            var (scales, limits) = (Vector512.Create(scale), Vector512.Create(limit));
            for (; at + 16 <= (nuint)gradient.Length; at += 16)
            {
                var values = Vector512.LoadUnsafe(ref source, at);
                if (!Vector512.LessThanAll(Vector512.Abs(values), limits))
                {
                    allInRange &= AccumulateEach(gradient.Slice((int)at, 16), sum.Slice((int)at, 16), scale, isFirst);
                    continue;
                }
                var (lower, upper) = Vector512.Widen(values);
                // Scaling by a power of two is exact: fused or not, the sum is rounded once and the same.
                var first = Vector512.MultiplyAddEstimate(lower, scales, Vector512.Create(Magic)).AsInt64() - Vector512.Create(MagicBits);
                var second = Vector512.MultiplyAddEstimate(upper, scales, Vector512.Create(Magic)).AsInt64() - Vector512.Create(MagicBits);
                (isFirst ? first : first + Vector512.LoadUnsafe(ref target, at)).StoreUnsafe(ref target, at);
                (isFirst ? second : second + Vector512.LoadUnsafe(ref target, at + 8)).StoreUnsafe(ref target, at + 8);
            }
        }
        else
        {
            var (scales, limits) = (Vector256.Create(scale), Vector256.Create(limit));
            for (; at + 8 <= (nuint)gradient.Length; at += 8)
            {
                var values = Vector256.LoadUnsafe(ref source, at);
                if (!Vector256.LessThanAll(Vector256.Abs(values), limits))
                {
                    allInRange &= AccumulateEach(gradient.Slice((int)at, 8), sum.Slice((int)at, 8), scale, isFirst);
                    continue;
                }
                var (lower, upper) = Vector256.Widen(values);
                var first = Vector256.MultiplyAddEstimate(lower, scales, Vector256.Create(Magic)).AsInt64() - Vector256.Create(MagicBits);
                var second = Vector256.MultiplyAddEstimate(upper, scales, Vector256.Create(Magic)).AsInt64() - Vector256.Create(MagicBits);
                (isFirst ? first : first + Vector256.LoadUnsafe(ref target, at)).StoreUnsafe(ref target, at);
                (isFirst ? second : second + Vector256.LoadUnsafe(ref target, at + 4)).StoreUnsafe(ref target, at + 4);
            }
        }
        return allInRange & AccumulateEach(gradient[(int)at..], sum[(int)at..], scale, isFirst);
    }

    private static bool AccumulateEach(ReadOnlySpan<float> gradient, Span<long> sum, double scale, bool isFirst)
    {
        if (isFirst) sum.Clear();
        var allInRange = true;
        for (var i = 0; i < gradient.Length; i++) allInRange &= AccumulateOne(gradient[i], ref sum[i], scale);
        return allInRange;
    }

    /// <summary>The same, one element at a time: the definition that the vector form must agree with bit for bit.</summary>
    public static bool AccumulateScalar(ReadOnlySpan<float> gradient, Span<long> sum, int fractionBits) =>
        AccumulateEach(gradient, sum, PowerOfTwo(fractionBits), isFirst: false);

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
        ref var source = ref MemoryMarshal.GetReference(values);
        ref var target = ref MemoryMarshal.GetReference(sum);
        nuint i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; i + 8 <= (nuint)sum.Length; i += 8) (Vector512.LoadUnsafe(ref target, i) + Vector512.LoadUnsafe(ref source, i)).StoreUnsafe(ref target, i);
        }
        for (; i + 4 <= (nuint)sum.Length; i += 4) (Vector256.LoadUnsafe(ref target, i) + Vector256.LoadUnsafe(ref source, i)).StoreUnsafe(ref target, i);
        for (; i < (nuint)sum.Length; i++) sum[(int)i] += values[(int)i];
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
        (var scale, divisor) = BackToMean(fractionBits, divisor);
        var divides = divisor != 1;
        ref var source = ref MemoryMarshal.GetReference(sum);
        ref var target = ref MemoryMarshal.GetReference(mean);
        nuint i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            var (scales, divisors) = (Vector512.Create(scale), Vector512.Create(divisor));
            for (; i + 16 <= (nuint)sum.Length; i += 16)
            {
                var lower = Vector512.ConvertToDouble(Vector512.LoadUnsafe(ref source, i)) * scales;
                var upper = Vector512.ConvertToDouble(Vector512.LoadUnsafe(ref source, i + 8)) * scales;
                if (divides) (lower, upper) = (lower / divisors, upper / divisors);
                Vector512.Narrow(lower, upper).StoreUnsafe(ref target, i);
            }
        }
        else
        {
            var (scales, divisors) = (Vector256.Create(scale), Vector256.Create(divisor));
            for (; i + 8 <= (nuint)sum.Length; i += 8)
            {
                var lower = Vector256.ConvertToDouble(Vector256.LoadUnsafe(ref source, i)) * scales;
                var upper = Vector256.ConvertToDouble(Vector256.LoadUnsafe(ref source, i + 4)) * scales;
                if (divides) (lower, upper) = (lower / divisors, upper / divisors);
                Vector256.Narrow(lower, upper).StoreUnsafe(ref target, i);
            }
        }
        for (; i < (nuint)sum.Length; i++) mean[(int)i] = (float)(sum[(int)i] * scale / divisor);
    }

    /// <summary>Exactly 2^exponent, for −1022 to 1023.</summary>
    public static double PowerOfTwo(int exponent) => BitConverter.Int64BitsToDouble((long)(exponent + 1023) << 52);
}
