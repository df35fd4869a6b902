using System.Collections.Immutable;
using System.IO.Hashing;
using System.Numerics;
using System.Runtime.InteropServices;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>What this worker says of slices, its own and others', and of its own memory.</summary>
internal sealed partial class WorkerSession
{
    private readonly Lock _saying = new(); // guards _said
    private readonly List<ControlMessage.SliceHashed> _said = []; // of the step in hand: said again on a new connection
    private long _generation;
    private ImmutableArray<ShutOut> _shutOut = []; // as of the last begin

    private void AuditSlice(long life, long step, int slice)
    {
        if (Volatile.Read(ref _life) != life || _state != step || _ending.IsCancellationRequested || AccuseIfChanged(life)) return;
        _clock.Computing();
        Say(life, step, slice, _gradient.Compute(step, slice, take: null));
        _clock.Computed(slices: 0);
    }

    private void Say(long life, long step, int slice, SliceLoss loss)
    {
        var said = new ControlMessage.SliceHashed(life, step, slice, HashOf(_model.Gradients, loss));
        lock (_saying) _said.Add(said);
        Tell(said);
    }

    private void SayAgain()
    {
        List<ControlMessage.SliceHashed> said;
        lock (_saying) said = [.. _said];
        foreach (var message in said) Tell(message);
    }

    private void ForgetSaid()
    {
        lock (_saying) _said.Clear();
    }

    // What is not a number may be so in many ways, and all of them mean the same: the step is skipped.
    private static UInt128 HashOf(ReadOnlySpan<float> gradient, SliceLoss loss)
    {
        var numbers = MemoryMarshal.Cast<float, Vector<float>>(gradient);
        var probe = Vector<float>.Zero;
        foreach (var vector in numbers) probe += vector - vector; // 0 where finite, NaN elsewhere
        var rest = loss.Sum - loss.Sum;
        foreach (var value in gradient[(numbers.Length * Vector<float>.Count)..]) rest += value - value;
        if (probe != Vector<float>.Zero || rest != 0) return 0;
        return XxHash128.HashToUInt128(MemoryMarshal.AsBytes(gradient), BitConverter.DoubleToInt64Bits(loss.Sum));
    }

    /// <summary>
    /// Whether the weights still are what they were when this state was reached; nothing but an update may change them. While the sums are on their way, so
    /// it takes next to no time. Whoever finds this of itself says so: with two workers nobody else could tell which of them is wrong.
    /// </summary>
    private bool AccuseIfChanged(long life)
    {
        if (Volatile.Read(ref _life) != life || XxHash3.HashToUInt64(MemoryMarshal.AsBytes(_model.Weights)) == _weightsHash) return false;
        _now = null; // not a state to come back with
        Volatile.Write(ref _life, -1); // and nothing more is computed from it
        Tell(new ControlMessage.SelfAccused(life, _state, $"its weights changed in memory while step {_state} was computed"));
        return true;
    }

    private void HarmState(long step)
    {
        if (_options.Fault is not { } fault) return;
        fault.Flip(MemoryPlace.Weight, step, _model.Weights);
        fault.Flip(MemoryPlace.Mean, step, _learned.Slots);
        fault.Flip(MemoryPlace.Variance, step, _learned.Slots[_model.ParameterCount..]);
    }
}
