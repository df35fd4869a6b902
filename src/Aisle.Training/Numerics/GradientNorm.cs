using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>The length of the whole gradient, summed in one order that machines and worker counts cannot change.</summary>
public static class GradientNorm
{
    private const int ChunkElements = 65536;

    /// <summary>√Σg², in double: eight lanes within a chunk, lanes folded pairwise, chunks added first to last.</summary>
    public static double Of(ReadOnlySpan<float> gradient)
    {
        var total = 0.0;
        for (var start = 0; start < gradient.Length; start += ChunkElements)
        {
            total += SumOfSquares(gradient.Slice(start, Math.Min(ChunkElements, gradient.Length - start)));
        }
        return Math.Sqrt(total);
    }

    /// <summary>What to multiply a gradient of length <paramref name="norm"/> with so that its length is at most <paramref name="limit"/>; 1 when it is already, or when there is no limit (0).</summary>
    public static float ClipFactor(double norm, double limit) => limit > 0 && norm > limit ? (float)(limit / norm) : 1;

    private static double SumOfSquares(ReadOnlySpan<float> chunk)
    {
        var (even, odd) = (Vector256<double>.Zero, Vector256<double>.Zero);
        var vectors = MemoryMarshal.Cast<float, Vector256<float>>(chunk);
        foreach (var vector in vectors)
        {
            var (lower, upper) = Vector256.Widen(vector);
            even += lower * lower;
            odd += upper * upper;
        }
        var lanes = even + odd;
        var sum = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
        foreach (var g in chunk[(vectors.Length * Vector256<float>.Count)..]) sum += (double)g * g;
        return sum;
    }
}
