namespace Aisle.Training.Protocol;

/// <summary>
/// From what is known to what is due. Every rule here may run at any time and any number of times: it asks only for what has not been asked yet,
/// so a plan, a death, a late message and a new connection all end in the same place.
/// </summary>
public sealed partial class WorkerProtocol
{
    private void DriveAll()
    {
        DriveSnapshots(); // before a step may change the weights
        foreach (var state in _steps) Drive(state);
        DriveGifts();
        DriveLesson();
    }

    private void Drive(StepState state)
    {
        if (state.Plan is null) return;
        if (State == state.Step && (state.ReducedShards < shards || IsHeld(state)))
        {
            foreach (var unit in state.Units)
            {
                if (unit.Started) continue;
                unit.Started = true;
                Emit(WorkerAction.Compute, state.Step, unit.Id);
            }
            while (state.Audits.TryDequeue(out var slice)) Emit(WorkerAction.Audit, state.Step, slice);
        }
        for (var shard = 0; shard < shards; shard++) DriveShard(state, shard);
        DriveApply(state);
        DriveLesson();
    }

    private void DriveShard(StepState state, int index)
    {
        var shard = state.Shards[index];
        var owner = state.Plan?.ShardOwners[index];
        if (!shard.IsReduced && owner is { } target)
        {
            foreach (var unit in state.Units)
            {
                if (!unit.Done[index] || unit.SentTo[index] == target) continue;
                unit.SentTo[index] = target;
                if (target != self)
                {
                    Emit(WorkerAction.SendContribution, state.Step, unit.Id, index, target);
                }
                else if (!shard.Covered.Overlaps(unit.Slices))
                {
                    shard.Covered.Add(unit.Slices);
                    Emit(WorkerAction.FoldOwn, state.Step, unit.Id, index);
                }
            }
        }
        if (!shard.IsReduced)
        {
            if (shard.ReduceAsked || !shard.Covered.Is(_all)) return;
            shard.ReduceAsked = true;
            Emit(WorkerAction.Reduce, state.Step, shard: index);
            return;
        }
        if (owner is null) return;
        if (owner == self)
        {
            foreach (var member in state.Plan!.Members) Publish(state, index, member.Id);
            foreach (var learner in state.Plan.Learners) Publish(state, index, learner.Member.Id);
        }
        else if (shard.ReducedFrom != owner && shard.ForwardedTo != owner)
        {
            // The owner changed after the shard was reduced: the new one may lack what this worker has, and others wait for it.
            shard.ForwardedTo = owner;
            Emit(WorkerAction.SendReduced, state.Step, shard: index, peer: owner.Value);
        }
    }

    private void Publish(StepState state, int index, MemberId receiver)
    {
        if (receiver != self && state.Shards[index].PublishedTo.Add(receiver)) Emit(WorkerAction.SendReduced, state.Step, shard: index, peer: receiver);
    }

    private void BecomeReduced(StepState state, int index, Shard shard, MemberId from)
    {
        shard.ReducedFrom = from;
        state.ReducedShards++;
        DriveShard(state, index);
        DriveApply(state);
        DriveLesson();
    }

    private void DriveApply(StepState state)
    {
        if (State != state.Step || state.Plan is null || state.ReducedShards < shards || state.ApplyAsked || IsHeld(state)) return;
        state.ApplyAsked = true;
        Emit(WorkerAction.Apply, state.Step);
    }

    private static bool IsHeld(StepState state) => state is { IsCleared: false, Plan.Audited.IsEmpty: false };

    // Between Apply and Applied the weights are neither this state nor the next: whoever wants a copy waits.
    private bool IsApplying => State is { } state && Find(state) is { ApplyAsked: true };

    private void DriveSnapshots()
    {
        if (_orders.Count == 0 || State is not { } state || IsApplying) return;
        foreach (var order in _orders.Values)
        {
            if (state == order.Step && !_snapshots.Contains(state))
            {
                _snapshots.Add(state);
                Emit(WorkerAction.KeepSnapshot, state);
            }
            if (order.Keepers[0] != self || state < order.Step || !_written.Add(order.Step)) continue;
            Emit(_snapshots.Contains(order.Step) ? WorkerAction.WriteSnapshot : WorkerAction.ReportNoSnapshot, order.Step);
        }
    }

    private sealed class StepState
    {
        private readonly int _shards;
        private readonly Stack<OwnUnit> _spareUnits = [];

        public StepState(int shards)
        {
            _shards = shards;
            Shards = [.. Enumerable.Range(0, shards).Select(_ => new Shard())];
        }

        public long Step { get; set; }

        public StepPlan? Plan { get; set; }

        /// <summary>In the order of their ids.</summary>
        public List<OwnUnit> Units { get; } = [];

        public Shard[] Shards { get; }

        public int ReducedShards { get; set; }

        public bool ApplyAsked { get; set; }

        /// <summary>Others' slices that are still to be computed.</summary>
        public Queue<int> Audits { get; } = [];

        public bool IsCleared { get; set; }

        public OwnUnit UnitOf(int id)
        {
            foreach (var unit in Units)
            {
                if (unit.Id == id) return unit;
            }
            throw new ArgumentOutOfRangeException(nameof(id), id, $"No unit of step {Step} that this worker computes.");
        }

        public void Take(Unit unit)
        {
            var at = Units.Count;
            while (at > 0 && Units[at - 1].Id >= unit.Id) at--;
            if (at < Units.Count && Units[at].Id == unit.Id) return;
            var own = _spareUnits.TryPop(out var spare) ? spare : new OwnUnit(_shards);
            own.Become(unit);
            Units.Insert(at, own);
        }

        public void Forget()
        {
            Plan = null;
            foreach (var unit in Units) _spareUnits.Push(unit);
            Units.Clear();
            foreach (var shard in Shards) shard.Forget();
            Audits.Clear();
            (ReducedShards, ApplyAsked, IsCleared) = (0, false, false);
        }
    }

    private sealed class Shard
    {
        /// <summary>Slices that the sum here holds.</summary>
        public SliceCover Covered { get; } = new();

        /// <summary>The sum is complete and on its way to being the mean.</summary>
        public bool ReduceAsked { get; set; }

        /// <summary>Who reduced it, as far as this worker knows; null until it is here.</summary>
        public MemberId? ReducedFrom { get; set; }

        public MemberId? ForwardedTo { get; set; }

        public HashSet<MemberId> PublishedTo { get; } = [];

        public bool IsReduced => ReducedFrom is not null;

        public void Forget()
        {
            Covered.Clear();
            PublishedTo.Clear();
            (ReduceAsked, ReducedFrom, ForwardedTo) = (false, null, null);
        }
    }

    private sealed class OwnUnit(int shards)
    {
        public int Id { get; private set; }

        public SliceSet Slices { get; private set; } = SliceSet.Empty;

        public bool Started { get; set; }

        /// <summary>Shard → whether the unit's sum is final there.</summary>
        public bool[] Done { get; } = new bool[shards];

        /// <summary>Shard → the owner it went to last.</summary>
        public MemberId?[] SentTo { get; } = new MemberId?[shards];

        public void Become(Unit unit)
        {
            (Id, Slices, Started) = (unit.Id, unit.Slices, false);
            Array.Clear(Done);
            Array.Clear(SentTo);
        }

        public void ForgetSentTo(MemberId peer)
        {
            for (var i = 0; i < SentTo.Length; i++)
            {
                if (SentTo[i] == peer) SentTo[i] = null;
            }
        }
    }
}
