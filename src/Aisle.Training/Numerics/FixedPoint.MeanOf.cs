using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

public static partial class FixedPoint
{
    private const int Lot = 16; // numbers of each addend that are added up in registers

    /// <summary>
    /// Rounding, adding and <see cref="Mean"/> in one: the numbers of <paramref name="floats"/> are rounded, those of <paramref name="sums"/> are added as they are,
    /// and nothing is written but the mean. The same bits as one after the other.
    /// </summary>
    /// <param name="floats">Where each array of floats begins.</param>
    /// <param name="sums">Where each array of 64-bit sums begins.</param>
    /// <param name="start">Where in all these arrays the mean begins.</param>
    /// <returns>False when a float was NaN, infinite or too large: it added nothing.</returns>
    internal static unsafe bool MeanOf(ReadOnlySpan<nint> floats, ReadOnlySpan<nint> sums, int start, Span<float> mean, int fractionBits, double divisor)
    {
        var scale = PowerOfTwo(fractionBits);
        var limit = (float)(Limit / scale);
        var (back, rest) = BackToMean(fractionBits, divisor);
        var bias = unchecked(MagicBits * floats.Length); // taken off once for all floats
        ref var target = ref MemoryMarshal.GetReference(mean);
        var done = 0;
        var fits = true;
        if (Vector512.IsHardwareAccelerated)
        {
            var (scales, magic, limits) = (Vector512.Create(scale), Vector512.Create(Magic), Vector512.Create(limit));
            var (backs, rests, biases) = (Vector512.Create(back), Vector512.Create(rest), Vector512.Create(bias));
            for (; done + Lot <= mean.Length; done += Lot)
            {
                var at = (nuint)(start + done);
                var (first, second) = (-biases, -biases);
                var areInRange = true;
                for (var i = 0; i < floats.Length; i++)
                {
                    var values = Vector512.Load((float*)floats[i] + at);
                    areInRange &= Vector512.LessThanAll(Vector512.Abs(values), limits);
                    var (lower, upper) = Vector512.Widen(values);
                    first += Vector512.MultiplyAddEstimate(lower, scales, magic).AsInt64();
                    second += Vector512.MultiplyAddEstimate(upper, scales, magic).AsInt64();
                }
                if (!areInRange)
                {
                    fits = false;
                    MeanOfEach(floats, sums, start + done, mean.Slice(done, Lot), scale, back, rest);
                    continue;
                }
                for (var i = 0; i < sums.Length; i++)
                {
                    first += Vector512.Load((long*)sums[i] + at);
                    second += Vector512.Load((long*)sums[i] + at + 8);
                }
                var (low, high) = (Vector512.ConvertToDouble(first) * backs, Vector512.ConvertToDouble(second) * backs);
                if (rest != 1) (low, high) = (low / rests, high / rests);
                Vector512.Narrow(low, high).StoreUnsafe(ref target, (nuint)done);
            }
        }
        else
        {
            var (scales, magic, limits) = (Vector256.Create(scale), Vector256.Create(Magic), Vector256.Create(limit));
            var (backs, rests, biases) = (Vector256.Create(back), Vector256.Create(rest), Vector256.Create(bias));
            for (; done + Lot / 2 <= mean.Length; done += Lot / 2)
            {
                var at = (nuint)(start + done);
                var (first, second) = (-biases, -biases);
                var areInRange = true;
                for (var i = 0; i < floats.Length; i++)
                {
                    var values = Vector256.Load((float*)floats[i] + at);
                    areInRange &= Vector256.LessThanAll(Vector256.Abs(values), limits);
                    var (lower, upper) = Vector256.Widen(values);
                    first += Vector256.MultiplyAddEstimate(lower, scales, magic).AsInt64();
                    second += Vector256.MultiplyAddEstimate(upper, scales, magic).AsInt64();
                }
                if (!areInRange)
                {
                    fits = false;
                    MeanOfEach(floats, sums, start + done, mean.Slice(done, Lot / 2), scale, back, rest);
                    continue;
                }
                for (var i = 0; i < sums.Length; i++)
                {
                    first += Vector256.Load((long*)sums[i] + at);
                    second += Vector256.Load((long*)sums[i] + at + 4);
                }
                var (low, high) = (Vector256.ConvertToDouble(first) * backs, Vector256.ConvertToDouble(second) * backs);
                if (rest != 1) (low, high) = (low / rests, high / rests);
                Vector256.Narrow(low, high).StoreUnsafe(ref target, (nuint)done);
            }
        }
        return fits & MeanOfEach(floats, sums, start + done, mean[done..], scale, back, rest);
    }

    // The definition that the vector forms must agree with.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe bool MeanOfEach(ReadOnlySpan<nint> floats, ReadOnlySpan<nint> sums, int start, Span<float> mean, double scale, double back, double rest)
    {
        var fits = true;
        for (var at = 0; at < mean.Length; at++)
        {
            long sum = 0;
            foreach (var values in floats) fits &= AccumulateOne(((float*)values)[start + at], ref sum, scale);
            foreach (var values in sums) sum += ((long*)values)[start + at];
            mean[at] = (float)(sum * back / rest);
        }
        return fits;
    }

    /// <summary>What a sum is multiplied with, then divided by. A division costs several times a multiplication, and by a power of two both are exact.</summary>
    private static (double Factor, double Divisor) BackToMean(int fractionBits, double divisor)
    {
        var scale = PowerOfTwo(-fractionBits);
        return divisor >= 1 && double.IsPow2(divisor) ? (scale / divisor, 1) : (scale, divisor);
    }
}
