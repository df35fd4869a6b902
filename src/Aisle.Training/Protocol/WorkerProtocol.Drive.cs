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
        foreach (var (step, state) in _steps) Drive(step, state);
        DriveLearners();
    }

    private void Drive(long step, StepState state)
    {
        if (state.Plan is null) return;
        if (State == step && state.ReducedShards < shards)
        {
            foreach (var unit in state.Units.Values.Where(unit => !unit.Started))
            {
                unit.Started = true;
                Emit(WorkerAction.Compute, step, unit.Id);
            }
        }
        for (var shard = 0; shard < shards; shard++) DriveShard(step, state, shard);
        DriveApply(step, state);
    }

    private void DriveShard(long step, StepState state, int index)
    {
        var shard = state.Shards[index];
        var owner = state.Plan?.ShardOwners[index];
        if (!shard.IsReduced && owner is { } target)
        {
            foreach (var unit in state.Units.Values.Where(unit => unit.Done && unit.SentTo[index] != target))
            {
                unit.SentTo[index] = target;
                if (target != self)
                {
                    Emit(WorkerAction.SendContribution, step, unit.Id, index, target);
                }
                else if (!shard.Covered.Overlaps(unit.Slices))
                {
                    shard.Covered = shard.Covered.Union(unit.Slices);
                    Emit(WorkerAction.FoldOwn, step, unit.Id, index);
                }
            }
        }
        if (!shard.IsReduced && shard.Covered.Equals(_all))
        {
            shard.ReducedFrom = self;
            state.ReducedShards++;
            Emit(WorkerAction.Reduce, step, shard: index);
        }
        if (!shard.IsReduced || owner is null) return;
        if (owner == self)
        {
            foreach (var receiver in state.Plan!.Receivers)
            {
                if (receiver.Id != self && shard.PublishedTo.Add(receiver.Id)) Emit(WorkerAction.SendReduced, step, shard: index, peer: receiver.Id);
            }
        }
        else if (shard.ReducedFrom != owner && shard.ForwardedTo != owner)
        {
            // The owner changed after the shard was reduced: the new one may lack what this worker has, and others wait for it.
            shard.ForwardedTo = owner;
            Emit(WorkerAction.SendReduced, step, shard: index, peer: owner.Value);
        }
    }

    private void DriveApply(long step, StepState state)
    {
        if (State != step || state.Plan is null || state.ReducedShards < shards || state.ApplyAsked) return;
        state.ApplyAsked = true;
        Emit(WorkerAction.Apply, step);
    }

    // Between Apply and Applied the weights are neither this state nor the next: whoever wants a copy waits.
    private bool IsApplying => State is { } state && _steps.TryGetValue(state, out var step) && step.ApplyAsked;

    private void DriveSnapshots()
    {
        if (State is not { } state || IsApplying) return;
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

    private void DriveLearners()
    {
        if (_steps.Count == 0 || PlanOf(_latestPlan) is not { } plan) return;
        foreach (var learner in plan.Learners)
        {
            // From this step on the learner gets what everyone gets, so any state from here on will do.
            if (learner.Donor == self && State >= plan.Step && !IsApplying && _stateSentTo.Add(learner.Member.Id))
            {
                Emit(WorkerAction.SendState, State.Value, peer: learner.Member.Id);
            }
        }
    }

    private sealed class StepState(int shards)
    {
        public StepPlan? Plan { get; set; }

        public SortedDictionary<int, OwnUnit> Units { get; } = [];

        public Shard[] Shards { get; } = [.. Enumerable.Range(0, shards).Select(_ => new Shard())];

        public int ReducedShards { get; set; }

        public bool ApplyAsked { get; set; }
    }

    private sealed class Shard
    {
        /// <summary>Slices that the sum here holds.</summary>
        public SliceSet Covered { get; set; } = SliceSet.Empty;

        /// <summary>Who reduced it, as far as this worker knows; null until it is here.</summary>
        public MemberId? ReducedFrom { get; set; }

        public MemberId? ForwardedTo { get; set; }

        public HashSet<MemberId> PublishedTo { get; } = [];

        public bool IsReduced => ReducedFrom is not null;
    }

    private sealed class OwnUnit(int id, SliceSet slices, int shards)
    {
        public int Id => id;

        public SliceSet Slices => slices;

        public bool Started { get; set; }

        public bool Done { get; set; }

        /// <summary>Shard → the owner it went to last.</summary>
        public MemberId?[] SentTo { get; } = new MemberId?[shards];

        public void ForgetSentTo(MemberId peer)
        {
            for (var i = 0; i < SentTo.Length; i++)
            {
                if (SentTo[i] == peer) SentTo[i] = null;
            }
        }
    }
}
