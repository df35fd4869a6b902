using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>The constants of stochastic gradient descent.</summary>
public sealed record SgdOptions : OptimizerOptions
{
    /// <summary>μ: how much of the last step's velocity is kept. 0 for none, and no arena.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Looks ahead along the velocity.</summary>
    public bool Nesterov { get; init; }

    /// <summary>λ of the penalty ½·λ·w², whose slope is added to the gradient.</summary>
    public double WeightDecay { get; init; }

    public override string Kind => "sgd";

    public override IOptimizer Create() => new Sgd(this);
}

/// <summary>
/// Stochastic gradient descent over flat memory: g ← g + λ·w; u ← μ·u + g; w ← w − η·u, or with Nesterov's momentum w ← w − η·(g + μ·u).
/// </summary>
/// <remarks>
/// Source: Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning" (2013), section 2, with the learning
/// rate outside the velocity, as PyTorch's torch.optim.SGD documents its own form.
/// </remarks>
public sealed class Sgd(SgdOptions options) : IOptimizer
{
    public IReadOnlyList<string> Slots { get; } = options.Momentum > 0 ? ["velocity"] : [];

    public OptimizerPowers Next(OptimizerPowers powers) => powers;

    public void Move(ParameterRange range, bool decays, in UpdateStep step)
    {
        var decay = Vector256.Create(decays ? (float)options.WeightDecay : 0f);
        var (rate, clip, momentum) = (Vector256.Create((float)step.LearningRate), Vector256.Create(step.ClipFactor), Vector256.Create((float)options.Momentum));
        if (Slots.Count == 0) Elementwise.Update(new Plain(rate, clip, decay), range.Weights, range.Gradient);
        else Elementwise.Update(new WithMomentum(rate, clip, decay, momentum, options.Nesterov), range.Weights, range.Gradient, range.Slot(0));
    }

    private readonly struct Plain(Vector256<float> rate, Vector256<float> clip, Vector256<float> decay) : IElementRule
    {
        public static int Slots => 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<float> Next(Vector256<float> weights, Vector256<float> gradient, ref Vector256<float> first, ref Vector256<float> second) =>
            weights - (rate * ((gradient * clip) + (decay * weights)));
    }

    private readonly struct WithMomentum(Vector256<float> rate, Vector256<float> clip, Vector256<float> decay, Vector256<float> momentum, bool nesterov) : IElementRule
    {
        public static int Slots => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<float> Next(Vector256<float> weights, Vector256<float> gradient, ref Vector256<float> first, ref Vector256<float> second)
        {
            var slope = (gradient * clip) + (decay * weights);
            first = (momentum * first) + slope;
            return weights - (rate * (nesterov ? slope + (momentum * first) : first));
        }
    }
}
