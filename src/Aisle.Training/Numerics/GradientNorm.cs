using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>The length of the whole gradient, summed in one order that machines and worker counts cannot change.</summary>
public static class GradientNorm
{
    private const int ChunkElements = 65536;

    /// <summary>√Σg² over the parameters that learn, in double: eight lanes within a chunk, lanes folded pairwise, chunks added first to last.</summary>
    /// <param name="runs">Of the whole model. Where parameters that do not learn cut a chunk, each piece is folded and added by itself.</param>
    public static double Of(ReadOnlySpan<float> gradient, IReadOnlyList<ParameterRun> runs)
    {
        var total = 0.0;
        for (var i = 0; i < runs.Count; i++)
        {
            if (!runs[i].Learns) continue;
            var start = runs[i].Offset;
            while (i + 1 < runs.Count && runs[i + 1].Learns) i++; // what learns side by side is one piece
            var end = runs[i].End;
            while (start < end)
            {
                var stop = Math.Min(end, (start / ChunkElements + 1) * ChunkElements);
                total += SumOfSquares(gradient[start..stop]);
                start = stop;
            }
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
