using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>AdamW's constants.</summary>
public sealed record AdamWOptions : OptimizerOptions
{
    public double Beta1 { get; init; } = 0.9;

    public double Beta2 { get; init; } = 0.95;

    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Part of a parameter that goes in a step, times the learning rate.</summary>
    public double WeightDecay { get; init; } = 0.1;

    public override string Kind => "adamw";

    public override IOptimizer Create() => new AdamW(this);
}

/// <summary>
/// AdamW over flat memory, each operation a separate IEEE multiplication, addition, division or root, so that every machine computes the
/// same bits: m ← β1·m + (1−β1)·g, v ← β2·v + (1−β2)·g², w ← w·(1 − η·λ) − η/(1−β1ᵗ) · m / (√v / √(1−β2ᵗ) + ε).
/// </summary>
/// <remarks>Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2.</remarks>
public sealed class AdamW(AdamWOptions options) : IOptimizer
{
    public IReadOnlyList<string> Slots { get; } = ["mean", "variance"];

    public OptimizerPowers Next(OptimizerPowers powers) => new(powers.Beta1 * options.Beta1, powers.Beta2 * options.Beta2);

    public void Move(ParameterRange range, bool decays, in UpdateStep step)
    {
        var keep = decays ? (float)(1 - step.LearningRate * options.WeightDecay) : 1f;
        var rule = new Rule(new AdamFactors(options.Beta1, options.Beta2, options.Epsilon, step), Vector256.Create(keep));
        Elementwise.Update(rule, range.Weights, range.Gradient, range.Slot(0), range.Slot(1));
    }

    private readonly struct Rule(AdamFactors factors, Vector256<float> keep) : IElementRule
    {
        public static int Slots => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<float> Next(Vector256<float> weights, Vector256<float> gradient, ref Vector256<float> first, ref Vector256<float> second) =>
            (weights * keep) - factors.Move(gradient * factors.Clip, ref first, ref second);
    }
}

/// <summary>What Adam and AdamW share: the two means and the move they make of a gradient.</summary>
internal readonly struct AdamFactors(double beta1, double beta2, double epsilon, in UpdateStep step)
{
    private readonly Vector256<float> _beta1 = Vector256.Create((float)beta1);
    private readonly Vector256<float> _oneLessBeta1 = Vector256.Create((float)(1 - beta1));
    private readonly Vector256<float> _beta2 = Vector256.Create((float)beta2);
    private readonly Vector256<float> _oneLessBeta2 = Vector256.Create((float)(1 - beta2));
    private readonly Vector256<float> _stepSize = Vector256.Create((float)(step.LearningRate / (1 - step.Powers.Beta1)));
    private readonly Vector256<float> _rootCorrection = Vector256.Create((float)(1 / Math.Sqrt(1 - step.Powers.Beta2)));
    private readonly Vector256<float> _epsilon = Vector256.Create((float)epsilon);

    public readonly Vector256<float> Clip = Vector256.Create(step.ClipFactor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<float> Move(Vector256<float> slope, ref Vector256<float> mean, ref Vector256<float> variance)
    {
        mean = (_beta1 * mean) + (_oneLessBeta1 * slope);
        variance = (_beta2 * variance) + (_oneLessBeta2 * (slope * slope));
        return (_stepSize * mean) / ((Vector256.Sqrt(variance) * _rootCorrection) + _epsilon);
    }
}
