using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>
/// A slice's gradient in eight bits: each block of 256 elements is rounded to whole multiples, −127 to 127, of its own power of two, up or down by a chance that
/// makes the rounding right on average. What comes out are floats again, every one a whole multiple of 2^-<c>sumFractionBits</c>: the fixed-point sum takes them
/// without rounding, so order and grouping cannot matter, and <see cref="PackedBlocks"/> finds the few bits that are left.
/// </summary>
/// <remarks>
/// A pure function of (gradient, seed, step, slice): no history, so nothing is lost with a worker. The rounding is that of QSGD (Alistarh et al. 2017, section 3), with the
/// scale a power of two. Thread-safe.
/// </remarks>
public sealed class Int8Codec
{
    public const int BlockElements = PackedBlocks.BlockElements;
    private const int MostQuanta = 127;
    private const int RoundingStream = 0;
    private readonly ulong _seed;
    private readonly int _smallestExponent;
    private readonly (int Start, int End)[] _learning;

    /// <param name="sumFractionBits">Bits after the binary point of the sum that the gradient will be added to.</param>
    /// <param name="runs">Of the model. Statistics of running averages are left as they are.</param>
    public Int8Codec(ulong seed, int sumFractionBits, IReadOnlyList<ParameterRun> runs)
    {
        (_seed, _smallestExponent) = (seed, -sumFractionBits);
        _learning = [.. runs.Where(run => run.Learns).Select(run => (run.Offset, run.End))];
    }

    /// <summary>Rounds the whole gradient of a slice in place. A block that holds NaN or infinity is left alone: the sum will refuse it.</summary>
    public void Round(Span<float> gradient, long step, int slice)
    {
        var chance = CounterRandom.Reserved(_seed, step, slice, RoundingStream);
        var run = 0;
        for (var start = 0; start < gradient.Length; start += BlockElements)
        {
            var end = Math.Min(start + BlockElements, gradient.Length);
            while (run < _learning.Length && _learning[run].End <= start) run++;
            // Runs cut a block; each piece of it that learns has a scale of its own.
            for (var i = run; i < _learning.Length && _learning[i].Start < end; i++)
            {
                var from = Math.Max(start, _learning[i].Start);
                var to = Math.Min(end, _learning[i].End);
                RoundPiece(gradient[from..to], from, chance);
            }
        }
    }

    private void RoundPiece(Span<float> piece, int offset, CounterRandom chance)
    {
        if (ExponentFor(Largest(piece)) is not { } exponent) return;
        var (quantum, inverse) = ((float)FixedPoint.PowerOfTwo(exponent), (float)FixedPoint.PowerOfTwo(-exponent));
        Span<float> chances = stackalloc float[CounterRandom.GroupNumbers];
        var done = 0;
        while (done < piece.Length)
        {
            var at = offset + done;
            chance.Group(at / CounterRandom.GroupNumbers, out var first, out var second);
            var skipped = at % CounterRandom.GroupNumbers;
            var count = Math.Min(CounterRandom.GroupNumbers - skipped, piece.Length - done);
            if (count == CounterRandom.GroupNumbers)
            {
                ref var target = ref MemoryMarshal.GetReference(piece);
                RoundEight(ref target, (nuint)done, first, quantum, inverse);
                RoundEight(ref target, (nuint)done + 8, second, quantum, inverse);
            }
            else
            {
                Fraction(first).CopyTo(chances);
                Fraction(second).CopyTo(chances[8..]);
                for (var i = 0; i < count; i++) piece[done + i] = RoundOne(piece[done + i], chances[skipped + i], quantum, inverse);
            }
            done += count;
        }
    }

    /// <summary>The definition: down to the multiple below, or up to the one above with the chance that is its nearness.</summary>
    internal static float RoundOne(float value, float chance, float quantum, float inverse)
    {
        var scaled = value * inverse;
        var below = MathF.Floor(scaled);
        return (below + (chance < scaled - below ? 1f : 0f)) * quantum;
    }

    private static void RoundEight(ref float values, nuint at, Vector256<uint> bits, float quantum, float inverse)
    {
        var scaled = Vector256.LoadUnsafe(ref values, at) * Vector256.Create(inverse);
        var below = Vector256.Floor(scaled);
        var up = Vector256.LessThan(Fraction(bits), scaled - below) & Vector256.Create(1f);
        ((below + up) * Vector256.Create(quantum)).StoreUnsafe(ref values, at);
    }

    private static Vector256<float> Fraction(Vector256<uint> bits) =>
        Vector256.ConvertToSingle(Vector256.ShiftRightLogical(bits, 8).AsInt32()) * Vector256.Create(1f / (1 << 24));

    /// <summary>The smallest power of two of which the largest element is at most 127; null when there is nothing to round, or no number.</summary>
    private int? ExponentFor(float largest)
    {
        if (largest == 0 || !float.IsFinite(largest)) return null;
        var top = Math.ILogB(largest);
        var exponent = largest <= MostQuanta * FixedPoint.PowerOfTwo(top - 6) ? top - 6 : top - 5;
        return Math.Clamp(exponent, _smallestExponent, 120);
    }

    private static float Largest(ReadOnlySpan<float> values)
    {
        var largest = Vector256<float>.Zero;
        var vectors = MemoryMarshal.Cast<float, Vector256<float>>(values);
        foreach (var vector in vectors) largest = Vector256.Max(largest, Vector256.Abs(vector)); // keeps NaN
        var most = 0f;
        for (var i = 0; i < Vector256<float>.Count; i++) most = MathF.Max(most, largest[i]);
        foreach (var value in values[(vectors.Length * Vector256<float>.Count)..]) most = MathF.Max(most, MathF.Abs(value));
        return most;
    }
}
