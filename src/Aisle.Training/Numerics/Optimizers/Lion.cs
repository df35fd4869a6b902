using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>Lion's constants. Its steps are all of one length, so its learning rate is some 3 to 10 times smaller than AdamW's, and its decay larger by as much.</summary>
public sealed record LionOptions : OptimizerOptions
{
    public double Beta1 { get; init; } = 0.9;

    public double Beta2 { get; init; } = 0.99;

    /// <summary>Part of a parameter that goes in a step, times the learning rate.</summary>
    public double WeightDecay { get; init; } = 0.1;

    public override string Kind => "lion";

    public override IOptimizer Create() => new Lion(this);
}

/// <summary>Lion over flat memory: w ← w·(1 − η·λ) − η · sign(β1·m + (1−β1)·g), then m ← β2·m + (1−β2)·g. The sign of zero is zero.</summary>
/// <remarks>Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023), algorithm 2.</remarks>
public sealed class Lion(LionOptions options) : IOptimizer
{
    public IReadOnlyList<string> Slots { get; } = ["mean"];

    public OptimizerPowers Next(OptimizerPowers powers) => powers;

    public void Move(ParameterRange range, bool decays, in UpdateStep step) => Elementwise.Update(
        new Rule
        {
            Beta1 = Vector256.Create((float)options.Beta1),
            OneLessBeta1 = Vector256.Create((float)(1 - options.Beta1)),
            Beta2 = Vector256.Create((float)options.Beta2),
            OneLessBeta2 = Vector256.Create((float)(1 - options.Beta2)),
            Rate = Vector256.Create((float)step.LearningRate),
            Keep = Vector256.Create(decays ? (float)(1 - step.LearningRate * options.WeightDecay) : 1f),
            Clip = Vector256.Create(step.ClipFactor),
        },
        range.Weights, range.Gradient, range.Slot(0));

    private readonly struct Rule : IElementRule
    {
        public required Vector256<float> Beta1 { get; init; }

        public required Vector256<float> OneLessBeta1 { get; init; }

        public required Vector256<float> Beta2 { get; init; }

        public required Vector256<float> OneLessBeta2 { get; init; }

        public required Vector256<float> Rate { get; init; }

        public required Vector256<float> Keep { get; init; }

        public required Vector256<float> Clip { get; init; }

        public static int Slots => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<float> Next(Vector256<float> weights, Vector256<float> gradient, ref Vector256<float> first, ref Vector256<float> second)
        {
            var slope = gradient * Clip;
            var direction = (Beta1 * first) + (OneLessBeta1 * slope);
            var up = Vector256.GreaterThan(direction, Vector256<float>.Zero) & Rate;
            var down = Vector256.LessThan(direction, Vector256<float>.Zero) & Rate;
            first = (Beta2 * first) + (OneLessBeta2 * slope);
            return (weights * Keep) - (up - down);
        }
    }
}
