using System.Collections.Immutable;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Aisle.Training.Protocol;

namespace Aisle.Training.Tests.Simulation;

/// <summary>Slices of others, what is said of them, and a machine that may go wrong.</summary>
internal sealed partial class SimulatedWorker
{
    private readonly List<(long Step, int Slice, UInt128 Hash)> _said = [];
    private readonly HashSet<int> _taughtBy = [];
    private StateReport _report; // of the present state, made when it was reached
    private long _generation;
    private ImmutableArray<ShutOut> _shutOut = [];
    private bool _isAccused;

    public bool HasLearnedFrom(int process) => _taughtBy.Contains(process);

    public bool IsUnaudited => Rules.PlanOf(_state!.Value) is not { Audited.IsEmpty: false };

    public bool IsAccused => _isAccused;

    private StateReport Report() => _report;

    /// <summary>The state is what it is: from here on its hash must not change by itself.</summary>
    private void Settle()
    {
        var hash = SimulatedModel.Hash(_weights);
        _report = new StateReport(hash, 0, false) { MomentsHash = StateHash.HasMoments(_state!.Value, 0) ? hash : 0 };
        _said.Clear();
    }

    private void Recover(BeginOrder order)
    {
        _isAccused = false;
        _said.Clear();
        if (order.Source is StateSource.Initial or StateSource.Checkpoint) _taughtBy.Clear();
    }

    private float[] Gradient(long step, int slice)
    {
        if (cluster.GoesWrong(this, Corruption.Weight)) Flip(_weights);
        var gradient = SimulatedModel.Gradient(_weights, step, slice);
        if (cluster.GoesWrong(this, Corruption.Gradient)) Flip(gradient);
        if (Rules.PlanOf(step)?.Audited.Contains(slice) == true) Say(step, slice, gradient);
        return gradient;
    }

    private void Audit(long step, int slice)
    {
        var gradient = SimulatedModel.Gradient(_weights, step, slice);
        if (cluster.GoesWrong(this, Corruption.Gradient)) Flip(gradient);
        Say(step, slice, gradient);
    }

    private void Say(long step, int slice, float[] gradient)
    {
        var hash = XxHash128.HashToUInt128(MemoryMarshal.AsBytes<float>(gradient));
        _said.Add((step, slice, hash));
        cluster.TellHash(this, step, slice, hash);
    }

    private void SayAgain()
    {
        foreach (var (step, slice, hash) in _said) cluster.TellHash(this, step, slice, hash);
    }

    /// <summary>Looks whether its weights still are what it said they are.</summary>
    private bool Accuses()
    {
        if (_isAccused || SimulatedModel.Hash(_weights) == _report.WeightsHash) return _isAccused;
        _isAccused = true;
        cluster.TellAccusation(this, _state!.Value);
        return true;
    }

    private void Update(long step)
    {
        SimulatedModel.Apply(_weights, _reduced[step]);
        if (cluster.GoesWrong(this, Corruption.Update)) Flip(_weights);
    }

    private void Flip(float[] values) => values[cluster.Draw(values.Length)] += 0.25f;
}
