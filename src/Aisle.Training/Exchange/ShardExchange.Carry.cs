using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>What the rules ask for. What costs time is put off until the lock is left.</summary>
internal sealed partial class ShardExchange
{
    private readonly Stack<Turn> _spareTurns = [];
    private Turn _turn = new();
    private int _depth;
    private ShardSource _arrivedSource; // what FoldArrived refers to, while a contribution is being taken in
    private bool _arrivedIsBytes;
    private bool _arrivedIsFolded;

    /// <summary>Work left to do outside the lock.</summary>
    private sealed class Turn
    {
        public List<(StepBuffers Step, int Shard)> Reduces { get; } = [];

        public List<PeerLink> Links { get; } = [];

        public bool IsEmpty => Reduces.Count == 0 && Links.Count == 0;
    }

    /// <summary>Takes the lock. Disposing what it returns leaves it; the outermost then does what was put off.</summary>
    private Stay Enter()
    {
        Monitor.Enter(_gate);
        _depth++;
        return new Stay(this);
    }

    private readonly ref struct Stay(ShardExchange exchange)
    {
        public void Dispose() => exchange.Leave();
    }

    private void Leave()
    {
        Turn? turn = null;
        if (--_depth == 0 && !_turn.IsEmpty)
        {
            turn = _turn;
            _turn = _spareTurns.TryPop(out var spare) ? spare : new Turn();
        }
        Monitor.Exit(_gate);
        if (turn is null) return;
        Pump(turn.Links); // before the reductions: what peers wait for leaves first
        foreach (var (step, shard) in turn.Reduces) Reduce(step, shard);
        turn.Reduces.Clear();
        turn.Links.Clear();
        lock (_gate) _spareTurns.Push(turn);
    }

    // Each worker begins with the member after it, so that not all send to the same one at once.
    private void Pump(List<PeerLink> links)
    {
        if (links.Count == 0) return;
        if (links.Count > 1) links.Sort(static (one, other) => one.Peer.CompareTo(other.Peer));
        var first = 0;
        while (first < links.Count && links[first].Peer < _self) first++;
        for (var i = 0; i < links.Count; i++) links[(first + i) % links.Count].Pump();
    }

    private void Carry(IReadOnlyList<WorkerEffect> effects)
    {
        for (var i = 0; i < effects.Count; i++)
        {
            var effect = effects[i];
            var (step, shard) = (effect.Step, effect.Shard);
            switch (effect.Action)
            {
                case WorkerAction.FoldOwn:
                    var own = StepOf(step).UnitOf(effect.Unit);
                    StepOf(step).Shards[shard].Sources.Add(new ShardSource(own.Slices, own.Form, AtShard(own, shard), own.Note, null, NumbersPlace.InFrame));
                    break;
                case WorkerAction.FoldArrived:
                    _arrivedIsFolded = true;
                    if (_arrivedIsBytes)
                    {
                        StepOf(step).Shards[shard].Pending++;
                        break;
                    }
                    _arrivedSource.Arena!.Hold();
                    StepOf(step).Shards[shard].Sources.Add(_arrivedSource);
                    break;
                case WorkerAction.Reduce:
                    var due = StepOf(step);
                    due.Shards[shard].ReduceDue = true;
                    if (due.Shards[shard].Pending == 0) PutOffReduce(due, shard);
                    break;
                case WorkerAction.KeepArrived:
                    break; // it is where it belongs already
                case WorkerAction.SendContribution:
                    var unit = StepOf(step).UnitOf(effect.Unit);
                    unit.Numbers.Hold();
                    SendTo(effect.Peer, new Parcel(ParcelKind.Contribution, step, shard, unit.Note, unit.Slices, unit.Numbers, unit.Form));
                    break;
                case WorkerAction.SendReduced:
                    var reduced = StepOf(step);
                    reduced.Reduced!.Hold();
                    SendTo(effect.Peer, new Parcel(ParcelKind.Reduced, step, shard, reduced.Shards[shard].Note, null, reduced.Reduced, NumberForm.Float32));
                    break;
                case WorkerAction.AskState:
                    SendTo(effect.Peer, new Parcel(ParcelKind.StateAsked, step, shard, default, null, null, NumberForm.Float32));
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

    private unsafe nint AtShard(UnitSum unit, int shard) =>
        (nint)(unit.Numbers.Numbers + (long)_grid.Offset(shard) * (unit.Form == NumberForm.Float32 ? sizeof(float) : sizeof(long)));

    private void PutOffReduce(StepBuffers step, int shard)
    {
        step.Users++;
        _turn.Reduces.Add((step, shard));
    }

    // A peer without a link is in no plan any more.
    private void SendTo(MemberId peer, Parcel parcel)
    {
        if (!_links.TryGetValue(peer, out var link))
        {
            parcel.Done();
            return;
        }
        link.Post(parcel);
        if (!_turn.Links.Contains(link)) _turn.Links.Add(link);
    }

    /// <summary>The sum and the mean of a shard that has every slice; outside the lock, counted as a user of the step.</summary>
    /// <param name="last">A contribution in a frame that completes it; its note has been taken.</param>
    private void Reduce(StepBuffers step, int index, Addend? last = null)
    {
        var shard = step.Shards[index];
        if (!BeginWriting(step, index)) return;
        Span<Addend> addends = shard.Sources.Count < 62 ? stackalloc Addend[64] : new Addend[shard.Sources.Count + 2];
        var count = 0;
        var note = shard.AccumulatedNote;
        var fits = true;
        var isSound = true;
        // The list stands still: the sum is complete, so nothing more is added, and the step cannot be given back while it has users.
        foreach (var source in shard.Sources)
        {
            isSound &= source.IsStill;
            note = note.Plus(source.Note);
            addends[count++] = new Addend(source.Form, source.At, 0);
        }
        unsafe
        {
            if (shard.Accumulated is { } accumulated) addends[count++] = new Addend(NumberForm.Fixed64, (nint)accumulated.Numbers, 0);
        }
        if (last is { } frame) addends[count++] = frame;
        if (isSound)
        {
            fits = ShardFold.Reduce(addends[..count], step.Reduced!.Span.Slice(_grid.Offset(index), _grid.Length(index)), _options.FractionBits, _options.Divisor(step.Step));
            foreach (var source in shard.Sources) isSound &= source.IsStill;
        }
        using (Enter())
        {
            EndWriting(step, index);
            if (!isSound) ForgetLost(step, index, last);
            else if (IsAlive(step))
            {
                shard.ForgetSources();
                shard.Note = note with { Invalid = note.Invalid | !fits };
                Carry(Rules.ShardReduced(step.Step, index));
            }
            Done(step);
        }
        if (!isSound) _listener.CloseConnections(); // whoever was turned down for what is lost now sends again
    }

    // Its owner went on to other things before this worker read it, which happens to a worker that the others took for dead: as if it had never come.
    private void ForgetLost(StepBuffers step, int index, Addend? last)
    {
        var shard = step.Shards[index];
        shard.ReduceDue = false;
        if (!IsAlive(step)) return;
        if (last is { } frame) AddUp(shard, frame); // the frame's bytes will be gone
        for (var i = shard.Sources.Count - 1; i >= 0; i--)
        {
            var source = shard.Sources[i];
            if (source.IsStill) continue;
            shard.Sources.RemoveAt(i);
            source.Arena!.Release();
            Carry(Rules.ContributionLost(step.Step, index, source.Slices));
        }
    }

    /// <summary>Waits until nobody else writes this shard's mean.</summary>
    /// <returns>False when it need not be written any more; the step has then been left.</returns>
    private bool BeginWriting(StepBuffers step, int index)
    {
        lock (_gate)
        {
            while (step.Shards[index].IsBusy) Monitor.Wait(_gate);
            if (!IsAlive(step) || !Rules.Lacks(step.Step, index))
            {
                Done(step);
                return false;
            }
            step.Shards[index].IsBusy = true;
            step.Reduced ??= _gradientPool.Rent();
            return true;
        }
    }

    private void EndWriting(StepBuffers step, int index)
    {
        step.Shards[index].IsBusy = false;
        Monitor.PulseAll(_gate);
    }

    // A step that was released or forgotten while its numbers were worked on.
    private bool IsAlive(StepBuffers step) => !_closed && _steps.Contains(step);

    /// <returns>Whether every value fitted.</returns>
    private void AddUp(ShardBuffers shard, Addend addend)
    {
        bool fits;
        lock (shard.Accumulating)
        {
            var isFirst = shard.Accumulated is null;
            shard.Accumulated ??= _shardPool.Rent();
            fits = ShardFold.AddTo(shard.Accumulated.Span[..addend.Elements], addend, _options.FractionBits, isFirst);
        }
        if (fits) return;
        lock (_gate) shard.AccumulatedNote = shard.AccumulatedNote with { Invalid = true };
    }
}
