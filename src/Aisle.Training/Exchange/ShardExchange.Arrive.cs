using System.Runtime.InteropServices;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>What peers bring. On the thread of the connection that brought it.</summary>
internal sealed unsafe partial class ShardExchange
{
    private void Arrived(Sender from, FrameKind kind, ReadOnlySpan<byte> body)
    {
        // Before the first plan there is no telling which steps a peer may rightly speak of: it waits, in its socket.
        switch (kind)
        {
            case FrameKind.Contribution:
                var contribution = ContributionFrame.Parse(body);
                CheckShard(contribution.Shard, body);
                while (!TakenIn(from, contribution)) WaitFor(from);
                break;
            case FrameKind.Reduced:
                var reduced = ReducedFrame.Parse(body);
                CheckShard(reduced.Shard, body);
                while (!TakenIn(from, reduced)) WaitFor(from);
                break;
            case FrameKind.State:
                var piece = StateFrame.Parse(body);
                CheckShard(piece.Shard, body);
                long life;
                while (!IsForThis(from, out life)) WaitFor(from);
                _owner.StatePiece(life, piece);
                break;
            case FrameKind.StateAsked:
                var asked = StateAskedFrame.Parse(body);
                CheckShard(asked.Shard, body);
                while (!TakenIn(from, asked)) WaitFor(from);
                break;
            default:
                throw ContributionFrame.Malformed(body.Length);
        }
    }

    private bool TakenIn(Sender from, ContributionFrame frame)
    {
        var length = _grid.Length(frame.Shard);
        var source = default(ShardSource);
        if (!frame.Place.IsInFrame) source = new ShardSource(SliceSet.Empty, frame.Form, NumbersAt(from, frame.Place, frame.Shard, frame.Form), frame.Note, from.Arena, frame.Place);
        else if (!frame.Holds(length)) throw ContributionFrame.Malformed(frame.Numbers.Length);
        fixed (byte* numbers = frame.Numbers)
        {
            var addend = new Addend(frame.Form, (nint)numbers, frame.Numbers.Length, length);
            StepBuffers step;
            bool completes;
            using (Enter())
            {
                if (_closed) return true;
                if (_rules is not { } rules || !IsForThisLife(from)) return false;
                var slices = SlicesOf(frame.Step, frame.Slices);
                (_arrivedSource, _arrivedIsBytes, _arrivedIsFolded) = (source with { Slices = slices }, frame.Place.IsInFrame, false);
                Carry(rules.ContributionArrived(frame.Step, frame.Shard, slices));
                if (!_arrivedIsBytes || !_arrivedIsFolded) return true;
                step = StepOf(frame.Step);
                step.Users++;
                var shard = step.Shards[frame.Shard];
                shard.AccumulatedNote = shard.AccumulatedNote.Plus(frame.Note);
                completes = shard.ReduceDue && shard.Pending == 1;
                if (completes) shard.Pending = 0;
            }
            if (completes) Reduce(step, frame.Shard, addend); // added where it lies, without a sum in between
            else AddPending(step, frame.Shard, addend);
            return true;
        }
    }

    private void AddPending(StepBuffers step, int index, Addend addend)
    {
        var shard = step.Shards[index];
        AddUp(shard, addend);
        using var stay = Enter();
        shard.Pending--;
        if (shard.ReduceDue && shard.Pending == 0 && IsAlive(step)) PutOffReduce(step, index);
        Done(step);
    }

    private bool TakenIn(Sender from, ReducedFrame frame)
    {
        var length = _grid.Length(frame.Shard);
        nint at = 0;
        if (!frame.Place.IsInFrame) at = NumbersAt(from, frame.Place, frame.Shard, NumberForm.Float32);
        else if (frame.Gradient.Length != length) throw ContributionFrame.Malformed(frame.Gradient.Length);
        StepBuffers step;
        lock (_gate)
        {
            if (_closed) return true;
            if (_rules is not { } rules || !IsForThisLife(from)) return false;
            if (!rules.Lacks(frame.Step, frame.Shard)) return true;
            step = StepOf(frame.Step);
            step.Users++;
        }
        if (!BeginWriting(step, frame.Shard)) return true;
        var target = step.Reduced!.Span.Slice(_grid.Offset(frame.Shard), length);
        var isSound = true;
        if (frame.Place.IsInFrame)
        {
            frame.Gradient.CopyTo(target);
        }
        else if (isSound = from.Arena!.IsStill(frame.Place.Place, frame.Place.Generation))
        {
            new ReadOnlySpan<float>((float*)at, length).CopyTo(target);
            isSound = from.Arena.IsStill(frame.Place.Place, frame.Place.Generation);
        }
        using var stay = Enter();
        EndWriting(step, frame.Shard);
        // A mean that was overwritten before it was read counts as never sent: its owner is past the step, and so is everyone in its plan.
        if (isSound && IsAlive(step))
        {
            step.Shards[frame.Shard].Note = frame.Note;
            Carry(Rules.ReducedArrived(frame.Step, frame.Shard, from.Hello.From));
        }
        Done(step);
        return true;
    }

    private nint NumbersAt(Sender from, NumbersPlace place, int shard, NumberForm form)
    {
        if (from.Arena is null || form == NumberForm.Packed) throw ContributionFrame.Malformed(NumbersPlace.SizeBytes);
        var size = form == NumberForm.Float32 ? sizeof(float) : sizeof(long);
        return (nint)(from.Arena.NumbersAt(place.Place, (long)_grid.Elements * size) + (long)_grid.Offset(shard) * size);
    }

    private void CheckShard(int shard, ReadOnlySpan<byte> body)
    {
        if (shard < 0 || shard >= _grid.Count) throw ContributionFrame.Malformed(body.Length);
    }

    // Units are named again and again by the same slices: the plan's own sets spare making new ones.
    private SliceSet SlicesOf(long step, ReadOnlySpan<ulong> words)
    {
        if (PlanOf(step) is { } plan)
        {
            foreach (var unit in plan.Units)
            {
                if (unit.Slices.Words.SequenceEqual(words)) return unit.Slices;
            }
        }
        return SliceSet.FromWords(words);
    }

    private bool TakenIn(Sender from, StateAskedFrame asked)
    {
        using var stay = Enter();
        if (_closed) return true;
        if (_rules is not { } rules || !IsForThisLife(from)) return false;
        Carry(rules.StateAsked(from.Hello.From, asked.Shard, asked.AtLeast));
        return true;
    }

    private bool IsForThis(Sender from, out long life)
    {
        lock (_gate)
        {
            life = _life;
            return _closed || IsForThisLife(from);
        }
    }

    private bool IsForThisLife(Sender from) => _rules is { HasPlan: true } && from.Hello.Term == _term && from.Hello.To == _self;

    /// <summary>Until the first plan, however long that takes. A peer that means another life of this worker is ahead by a moment, or behind for good: it may try again.</summary>
    private void WaitFor(Sender from)
    {
        _hasPlan.Wait();
        lock (_gate)
        {
            if (_closed || IsForThisLife(from)) return;
            Monitor.Wait(_gate, s_otherLifeFor);
            if (!_closed && !IsForThisLife(from) && _rules is { HasPlan: true }) throw new IOException("The peer means another life of this worker.");
        }
    }
}
