namespace Aisle.Training.Numerics;

/// <summary>
/// An update rule, element by element. It keeps nothing itself: its arenas and powers are the caller's, so a state can be copied, stored, sent and cut
/// by element range, and updating piece by piece, in any order, gives the bits of updating the whole. Thread-safe.
/// </summary>
public interface IOptimizer
{
    /// <summary>Names of the arenas it needs beside the weights, each as long as they are and zero before the first step; a checkpoint calls its tensors so.</summary>
    IReadOnlyList<string> Slots { get; }

    /// <summary>The powers of the next step: β multiplied on once more, because a C library's <c>pow</c> differs between machines.</summary>
    OptimizerPowers Next(OptimizerPowers powers);

    /// <summary>Moves the parameters of a range that are all of one kind; <see cref="OptimizerUpdate.Update"/> is what callers want.</summary>
    /// <param name="decays">Whether weight decay applies to them.</param>
    void Move(ParameterRange range, bool decays, in UpdateStep step);
}

/// <summary>β1 and β2 to the power of the updates made so far.</summary>
public readonly record struct OptimizerPowers(double Beta1, double Beta2)
{
    /// <summary>Before the first update.</summary>
    public static OptimizerPowers Initial { get; } = new(1, 1);
}

/// <summary>What an update needs to know of its step.</summary>
/// <param name="ClipFactor">What every gradient is multiplied with first; 1 leaves them.</param>
/// <param name="Powers">After <see cref="IOptimizer.Next"/>: this update counted.</param>
public readonly record struct UpdateStep(double LearningRate, float ClipFactor, OptimizerPowers Powers);

/// <summary>A range of a model's parameters, with their gradient and their part of each state arena.</summary>
public readonly ref struct ParameterRange
{
    private readonly Span<float> _state;
    private readonly int _stride;

    /// <param name="offset">Of the first parameter, in the model.</param>
    /// <param name="state">Slot after slot, one beginning every <paramref name="stride"/> numbers; the first number belongs to the first parameter.</param>
    public ParameterRange(int offset, Span<float> weights, ReadOnlySpan<float> gradient, Span<float> state, int stride)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(gradient.Length, weights.Length);
        (Offset, _stride) = (offset, stride);
        Weights = weights;
        Gradient = gradient;
        _state = state;
    }

    public int Offset { get; }

    public Span<float> Weights { get; }

    public ReadOnlySpan<float> Gradient { get; }

    public int Length => Weights.Length;

    public Span<float> Slot(int slot) => _state.Slice(slot * _stride, Length);

    /// <param name="start">From the range's first parameter.</param>
    public ParameterRange Cut(int start, int length) =>
        new(Offset + start, Weights.Slice(start, length), Gradient.Slice(start, length), _state.IsEmpty ? _state : _state[start..], _stride);
}

/// <summary>One step's update of a range, each parameter by its kind.</summary>
public static class OptimizerUpdate
{
    /// <param name="runs">Of the whole model; those outside the range are passed over.</param>
    public static void Update(this IOptimizer optimizer, ParameterRange range, IReadOnlyList<ParameterRun> runs, in UpdateStep step)
    {
        for (var i = 0; i < runs.Count; i++)
        {
            var run = runs[i];
            var start = Math.Max(run.Offset, range.Offset);
            var end = Math.Min(run.End, range.Offset + range.Length);
            if (start >= end || run.Kind == ParameterKind.Frozen) continue;
            var part = range.Cut(start - range.Offset, end - start);
            if (run.Learns) optimizer.Move(part, run.Kind == ParameterKind.Decayed, step);
            else RunningAverage.Update(part.Weights, part.Gradient, run.Momentum);
        }
    }
}
