using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>AdamW's constants; part of the recipe.</summary>
public sealed record AdamWOptions
{
    public double Beta1 { get; init; } = 0.9;

    public double Beta2 { get; init; } = 0.95;

    public double Epsilon { get; init; } = 1e-8;

    public double WeightDecay { get; init; } = 0.1;
}

/// <summary>A run of parameters and whether weight decay pulls them towards zero.</summary>
public readonly record struct ParameterRun(int Offset, int Length, bool Decay);

/// <summary>
/// AdamW over flat memory, each operation a separate IEEE multiplication, addition, division or root, so that every machine computes the
/// same bits. The bias corrections are powers kept by repeated multiplication: a C library's <c>pow</c> differs between machines.
/// </summary>
/// <remarks>Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2.</remarks>
public sealed class AdamW(AdamWOptions options)
{
    /// <summary>β1 to the power of the updates made so far; 1 before the first.</summary>
    public double Beta1Power { get; set; } = 1;

    /// <summary>β2 to the power of the updates made so far; 1 before the first.</summary>
    public double Beta2Power { get; set; } = 1;

    /// <summary>One update. All spans are of one length and <paramref name="runs"/> cover them.</summary>
    public void Update(
        Span<float> weights, Span<float> mean, Span<float> variance, ReadOnlySpan<float> gradient, IReadOnlyList<ParameterRun> runs, double learningRate, float clipFactor)
    {
        Beta1Power *= options.Beta1;
        Beta2Power *= options.Beta2;
        foreach (var run in runs)
        {
            var factors = new Factors(
                (float)options.Beta1, (float)(1 - options.Beta1), (float)options.Beta2, (float)(1 - options.Beta2),
                (float)(learningRate / (1 - Beta1Power)), (float)(1 / Math.Sqrt(1 - Beta2Power)), (float)options.Epsilon,
                run.Decay ? (float)(1 - learningRate * options.WeightDecay) : 1f, clipFactor);
            Update(
                weights.Slice(run.Offset, run.Length), mean.Slice(run.Offset, run.Length),
                variance.Slice(run.Offset, run.Length), gradient.Slice(run.Offset, run.Length), factors);
        }
    }

    internal readonly record struct Factors(
        float Beta1, float OneLessBeta1, float Beta2, float OneLessBeta2, float StepSize, float RootCorrection, float Epsilon, float Keep, float Clip);

    private static void Update(Span<float> weights, Span<float> mean, Span<float> variance, ReadOnlySpan<float> gradient, Factors f)
    {
        ref var w = ref MemoryMarshal.GetReference(weights);
        ref var m = ref MemoryMarshal.GetReference(mean);
        ref var v = ref MemoryMarshal.GetReference(variance);
        ref var g = ref MemoryMarshal.GetReference(gradient);
        var (beta1, oneLessBeta1, beta2, oneLessBeta2) = (
            Vector256.Create(f.Beta1), Vector256.Create(f.OneLessBeta1), Vector256.Create(f.Beta2), Vector256.Create(f.OneLessBeta2));
        var (step, root, epsilon, keep, clip) = (
            Vector256.Create(f.StepSize), Vector256.Create(f.RootCorrection), Vector256.Create(f.Epsilon), Vector256.Create(f.Keep), Vector256.Create(f.Clip));
        nuint i = 0;
        for (; i + 8 <= (nuint)weights.Length; i += 8)
        {
            // Written as single operations on purpose: a fused multiply-add rounds once where these round twice.
            var slope = Vector256.LoadUnsafe(ref g, i) * clip;
            var first = (beta1 * Vector256.LoadUnsafe(ref m, i)) + (oneLessBeta1 * slope);
            var second = (beta2 * Vector256.LoadUnsafe(ref v, i)) + (oneLessBeta2 * (slope * slope));
            var denominator = (Vector256.Sqrt(second) * root) + epsilon;
            var moved = (Vector256.LoadUnsafe(ref w, i) * keep) - ((step * first) / denominator);
            first.StoreUnsafe(ref m, i);
            second.StoreUnsafe(ref v, i);
            moved.StoreUnsafe(ref w, i);
        }
        UpdateScalar(weights[(int)i..], mean[(int)i..], variance[(int)i..], gradient[(int)i..], f);
    }

    /// <summary>The same, one element at a time: the definition that the vector form must agree with bit for bit.</summary>
    internal static void UpdateScalar(Span<float> weights, Span<float> mean, Span<float> variance, ReadOnlySpan<float> gradient, Factors f)
    {
        for (var i = 0; i < weights.Length; i++)
        {
            var slope = gradient[i] * f.Clip;
            mean[i] = (f.Beta1 * mean[i]) + (f.OneLessBeta1 * slope);
            variance[i] = (f.Beta2 * variance[i]) + (f.OneLessBeta2 * (slope * slope));
            var denominator = (MathF.Sqrt(variance[i]) * f.RootCorrection) + f.Epsilon;
            weights[i] = (weights[i] * f.Keep) - ((f.StepSize * mean[i]) / denominator);
        }
    }
}
