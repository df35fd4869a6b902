using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>Adam's constants.</summary>
public sealed record AdamOptions : OptimizerOptions
{
    public double Beta1 { get; init; } = 0.9;

    public double Beta2 { get; init; } = 0.999;

    public double Epsilon { get; init; } = 1e-8;

    /// <summary>λ of the penalty ½·λ·w², whose slope is added to the gradient.</summary>
    public double WeightDecay { get; init; }

    public override string Kind => "adam";

    public override IOptimizer Create() => new Adam(this);
}

/// <summary>Adam over flat memory: g ← g + λ·w; m ← β1·m + (1−β1)·g, v ← β2·v + (1−β2)·g², w ← w − η/(1−β1ᵗ) · m / (√v / √(1−β2ᵗ) + ε).</summary>
/// <remarks>Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1.</remarks>
public sealed class Adam(AdamOptions options) : IOptimizer
{
    public IReadOnlyList<string> Slots { get; } = ["mean", "variance"];

    public OptimizerPowers Next(OptimizerPowers powers) => new(powers.Beta1 * options.Beta1, powers.Beta2 * options.Beta2);

    public void Move(ParameterRange range, bool decays, in UpdateStep step)
    {
        var rule = new Rule(new AdamFactors(options.Beta1, options.Beta2, options.Epsilon, step), Vector256.Create(decays ? (float)options.WeightDecay : 0f));
        Elementwise.Update(rule, range.Weights, range.Gradient, range.Slot(0), range.Slot(1));
    }

    private readonly struct Rule(AdamFactors factors, Vector256<float> decay) : IElementRule
    {
        public static int Slots => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<float> Next(Vector256<float> weights, Vector256<float> gradient, ref Vector256<float> first, ref Vector256<float> second) =>
            weights - factors.Move((gradient * factors.Clip) + (decay * weights), ref first, ref second);
    }
}
