using System.Collections.Concurrent;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Aisle.Artifacts;
using Aisle.Monitoring;
using Aisle.Tensors;
using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>The computing thread: the only one that runs the model and, but for a state arriving before the first step, the only one that writes weights.</summary>
internal sealed partial class WorkerSession
{
    internal const int LossFractionBits = 24;
    private readonly BlockingCollection<Action> _work = []; // bounded by the rules: a step's units and its update
    private readonly GradientReady _round;
    private UnitInHand _inHand = null!; // the computing thread's own
    private ModelState _learned = null!;
    private SliceGradient _gradient = null!;
    private long _life; // of the last Begin, 0 before the first: what was asked in an earlier one is void
    private long _abandon = -1; // the step that needs no more computing
    private long _state;
    private ulong _weightsHash;
    private double _lossPerToken = double.NaN;
    private bool _skipped;
    private double _gradientNorm = double.NaN;
    private double _learningRate = double.NaN;
    private StepTimes _times;
    private StepClock _clock = null!;
    private long _slicesComputed;

    private void Compute() => Guarded(() =>
    {
        using var model = _model = _options.Model(_recipe);
        _grid = new ShardGrid(model.ParameterCount);
        _learned = new ModelState(model, _recipe);
        _gradient = new SliceGradient(model, _recipe);
        _statePool = new BufferPool<float>(_learned.Elements);
        _piecePool = new BufferPool<float>(_learned.Arenas * _grid.ShardElements);
        _pieces = new Piece[_grid.Count];
        model.Initialize(_recipe.Seed);
        _canary = Canary();
        _clock = new StepClock(_options.Time);
        try
        {
            Join();
            foreach (var work in _work.GetConsumingEnumerable())
            {
                if (_ending.IsCancellationRequested) break;
                work();
            }
        }
        finally
        {
            // Nobody may touch the weights once the model is disposed.
            _exchange?.Dispose();
            _exchange?.GiveBackReduced();
            _inHand?.LetGo();
            WaitForWriters();
        }
    });

    private void Enqueue(Action work)
    {
        try
        {
            _work.Add(work);
        }
        catch (InvalidOperationException)
        {
            // The session has ended: nothing is computed any more.
        }
    }

    /// <summary>What this machine makes of the run's first slice. Equal canaries, equal bits: the proof that workers may share a run.</summary>
    private Digest Canary()
    {
        var loss = _model.ComputeSlice(step: 0, slice: 0);
        var gradient = Digest.Of(MemoryMarshal.AsBytes(_model.Gradients));
        return Digest.Of($"{gradient} {BitConverter.DoubleToUInt64Bits(loss.Sum):x16} {loss.Tokens}");
    }

    private void StartFromSeed()
    {
        _now = null;
        (_lossPerToken, _skipped, _gradientNorm, _learningRate) = (double.NaN, false, double.NaN, double.NaN);
        _learned.StartFromSeed();
        BecomeState(0);
        RestartClock();
    }

    private void RestartClock()
    {
        _clock.Restart();
        (_gradientNorm, _learningRate, _times) = (double.NaN, double.NaN, default);
    }

    private void BecomeState(long state)
    {
        _state = state;
        _weightsHash = XxHash3.HashToUInt64(MemoryMarshal.AsBytes(_model.Weights));
        _now = new StateNow(state, new StateReport(_weightsHash, _lossPerToken, _skipped, _gradientNorm, _learningRate) { MomentsHash = StateHash.HasMoments(state, _recipe.CheckpointEvery) ? _learned.Hash().Moments : 0 });
        ForgetSaid();
        _options.Progress?.Invoke(new WorkerProgress(state, _slicesComputed));
    }

    private void ComputeUnit(long life, long step, int unit)
    {
        bool IsVoid() => Volatile.Read(ref _life) != life || Volatile.Read(ref _abandon) == step || _ending.IsCancellationRequested;
        if (IsVoid()) return;
        if (_exchange.SlicesOf(step, unit) is not { } slices) return;
        _inHand.Begin(step, unit, slices);
        var (computed, count) = (0, slices.Count);
        _clock.Computing();
        var audited = _exchange.AuditedOf(step);
        HarmState(step);
        foreach (var slice in slices.Slices())
        {
            if (IsVoid()) break;
            _inHand.BeginSlice(isLast: computed == count - 1);
            var loss = _gradient.Compute(step, slice, _round);
            computed++;
            _inHand.EndSlice(FixedPoint.Round(loss.Sum, LossFractionBits));
            if (audited.Contains(slice)) Say(life, step, slice, loss);
            Interlocked.Increment(ref _slicesComputed);
            _options.Progress?.Invoke(new WorkerProgress(_state, _slicesComputed));
        }
        _inHand.LetGo();
        _clock.Computed(computed);
        if (computed == count) Tell(new ControlMessage.Computed(life, unit));
        AccuseIfChanged(life);
    }

    /// <summary>Adds a range of the slice's gradient to the unit's sum.</summary>
    private void Round(int offset, int length)
    {
        if (offset == 0) _options.Fault?.Flip(MemoryPlace.Gradient, _state, _model.Gradients);
        _inHand.Round(_model.Gradients, offset, length);
    }

    private void Apply(long life, long step)
    {
        if (Volatile.Read(ref _life) != life) return;
        _clock.Applying();
        var gradient = _exchange.Reduced(step, out var note);
        if (gradient.IsEmpty) return; // the worker begins anew
        if (_options.Fault is { } fault) gradient = fault.Harmed(MemoryPlace.Reduced, step, gradient);
        Measure(step, gradient, note);
        if (!note.Invalid) _learned.Update(gradient, _gradientNorm, _learningRate);
        BecomeState(step + 1);
        _times = _clock.Applied();
        _exchange.Applied(life, step);
    }

    private void Measure(long step, ReadOnlySpan<float> gradient, ShardNote note)
    {
        (_gradientNorm, _learningRate) = (note.Invalid ? double.NaN : GradientNorm.Of(gradient, _model.Runs), _recipe.Schedule.At(step));
        _skipped = note.Invalid;
        _lossPerToken = note.Loss * FixedPoint.PowerOfTwo(-LossFractionBits) / _model.TokensIn(step);
    }
}
