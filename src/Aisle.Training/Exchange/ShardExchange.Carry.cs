using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

internal sealed partial class ShardExchange
{
    private void Arrived(MemberId from, FrameKind kind, ReadOnlySpan<byte> body)
    {
        switch (kind)
        {
            case FrameKind.Contribution:
                var contribution = ContributionFrame.Parse(body);
                CheckShard(contribution.Shard, contribution.Packed);
                while (!TakenIn(contribution)) _hasPlan.Wait();
                break;
            case FrameKind.Reduced:
                var reduced = ReducedFrame.Parse(body);
                if (reduced.Shard < 0 || reduced.Shard >= _grid.Count || reduced.Gradient.Length != _grid.Length(reduced.Shard)) throw ContributionFrame.Malformed(body.Length);
                while (!TakenIn(reduced, from)) _hasPlan.Wait();
                break;
            case FrameKind.State:
                var piece = StateFrame.Parse(body);
                _hasPlan.Wait(); // whoever has a plan has been told to expect a state
                if (IsFromMember(from)) _owner.StatePiece(piece);
                break;
            default:
                throw ContributionFrame.Malformed(body.Length);
        }
    }

    // Before the first plan there is no telling which steps a peer may rightly speak of: it waits, in its socket.
    private bool TakenIn(ContributionFrame frame)
    {
        lock (_gate)
        {
            if (_closed) return true;
            if (_rules is not { HasPlan: true } rules) return false;
            Carry(rules.ContributionArrived(frame.Step, frame.Shard, frame.Slices), frame.Packed, default, frame.Note);
            return true;
        }
    }

    private bool TakenIn(ReducedFrame frame, MemberId from)
    {
        lock (_gate)
        {
            if (_closed) return true;
            if (_rules is not { HasPlan: true } rules) return false;
            Carry(rules.ReducedArrived(frame.Step, frame.Shard, from), default, frame.Gradient, frame.Note);
            return true;
        }
    }

    // A state still on its way from a member that died before this life began belongs to a run that was started over.
    private bool IsFromMember(MemberId from)
    {
        lock (_gate) return !_closed && _plans.Values.Any(plan => plan.Members.Any(member => member.Id == from));
    }

    private void CheckShard(int shard, ReadOnlySpan<byte> packed)
    {
        if (shard < 0 || shard >= _grid.Count || !PackedBlocks.IsWellFormed(packed, _grid.Length(shard))) throw ContributionFrame.Malformed(packed.Length);
    }

    private void Carry(IReadOnlyList<WorkerEffect> effects, ReadOnlySpan<byte> packed = default, ReadOnlySpan<float> reduced = default, ShardNote note = default)
    {
        foreach (var effect in effects.ToArray())
        {
            var (step, shard) = (effect.Step, effect.Shard);
            switch (effect.Action)
            {
                case WorkerAction.FoldOwn:
                    FoldOwn(StepOf(step), shard, _steps[step].Units[effect.Unit]);
                    break;
                case WorkerAction.FoldArrived:
                    PackedBlocks.AddTo(SumOf(StepOf(step), shard), packed);
                    StepOf(step).Notes[shard] = StepOf(step).Notes[shard].Plus(note);
                    break;
                case WorkerAction.Reduce:
                    Reduce(StepOf(step), shard);
                    Carry(Rules.ShardReduced(step, shard));
                    break;
                case WorkerAction.KeepArrived:
                    reduced.CopyTo(GradientOf(StepOf(step)).Slice(_grid.Offset(shard), _grid.Length(shard)));
                    StepOf(step).Notes[shard] = note;
                    break;
                case WorkerAction.SendContribution:
                    var unit = _steps[step].Units[effect.Unit];
                    unit.Sum.Hold();
                    SendTo(effect.Peer, new Parcel(ParcelKind.Contribution, step, shard, unit.Note, unit, null, default));
                    break;
                case WorkerAction.SendReduced:
                    SendTo(effect.Peer, new Parcel(ParcelKind.Reduced, step, shard, _steps[step].Notes[shard], null, _steps[step].Reduced!.Hold(), default));
                    break;
                case WorkerAction.Release:
                    Release(step);
                    break;
                default:
                    _owner.Carry(effect);
                    break;
            }
        }
    }

    // A peer without a link is in no plan any more.
    private void SendTo(MemberId peer, Parcel parcel)
    {
        if (_links.TryGetValue(peer, out var link)) link.Send(parcel);
        else parcel.Done();
    }

    private void FoldOwn(StepBuffers step, int shard, UnitSum unit)
    {
        var isFirst = step.Sums[shard] is null;
        var sum = SumOf(step, shard, clear: false);
        var values = unit.Sum.Span.Slice(_grid.Offset(shard), _grid.Length(shard));
        if (isFirst) values.CopyTo(sum);
        else FixedPoint.Add(values, sum);
        step.Notes[shard] = step.Notes[shard].Plus(unit.Note);
    }

    private void Reduce(StepBuffers step, int shard)
    {
        FixedPoint.Mean(SumOf(step, shard), GradientOf(step).Slice(_grid.Offset(shard), _grid.Length(shard)), _options.FractionBits, _options.Divisor);
        step.Sums[shard]!.Release();
        step.Sums[shard] = null;
    }

    private Span<long> SumOf(StepBuffers step, int shard, bool clear = true)
    {
        if (step.Sums[shard] is null)
        {
            step.Sums[shard] = _shardPool.Rent();
            if (clear) step.Sums[shard]!.Span.Clear();
        }
        return step.Sums[shard]!.Span[.._grid.Length(shard)];
    }

    private Span<float> GradientOf(StepBuffers step) => (step.Reduced ??= _gradientPool.Rent()).Span;
}
