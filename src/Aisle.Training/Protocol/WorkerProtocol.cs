using System.Diagnostics;

namespace Aisle.Training.Protocol;

/// <summary>
/// One worker's rules: what to compute, what to send to whom, when a shard's sum is complete and when the weights may move. Feed it what
/// happened; carry out what it returns, in order. Payloads stay outside: it deals in slice sets and shard numbers.
/// </summary>
/// <remarks>
/// Not thread-safe. No vote and no clock: a shard that has every slice once has the only value it can have, so whoever holds all shards
/// goes on. Everything may be sent twice; nothing is folded twice. Sums and reduced shards are kept until no member can lack them.
/// </remarks>
public sealed partial class WorkerProtocol(MemberId self, int slices, int shards)
{
    private readonly SliceSet _all = SliceSet.Range(0, slices);
    private readonly SortedDictionary<long, StepState> _steps = [];
    private readonly HashSet<MemberId> _stateSentTo = [];
    private readonly SortedDictionary<long, SaveOrder> _orders = [];
    private readonly HashSet<long> _snapshots = [];
    private readonly HashSet<long> _written = []; // orders this worker has acted on as writer
    private List<WorkerEffect> _effects = [];
    private List<WorkerEffect> _spareEffects = [];
    private long _released = -1; // steps up to this one are gone
    private long _latestPlan = -1;

    public MemberId Self => self;

    /// <summary>Updates made to the weights so far; null while there are no weights yet.</summary>
    public long? State { get; private set; }

    /// <summary>Whether a plan has come. Until then there is no telling which steps peers may rightly speak of: let them wait.</summary>
    public bool HasPlan => _latestPlan >= 0;

    public StepPlan? PlanOf(long step) => _steps.GetValueOrDefault(step)?.Plan;

    /// <summary>The weights are there: initial, from a checkpoint or from a donor.</summary>
    public IReadOnlyList<WorkerEffect> StateArrived(long state)
    {
        Debug.Assert(State is null, "A worker receives a state once.");
        State = state;
        Emit(WorkerAction.ReportState, state);
        DriveAll();
        return Take();
    }

    public IReadOnlyList<WorkerEffect> Planned(StepPlan plan)
    {
        if (plan.Step <= _released || (PlanOf(plan.Step) is { } known && known.Epoch >= plan.Epoch)) return [];
        if (plan.ShardOwners.Length != shards)
        {
            throw new AisleException("AISLE-5132", $"The coordinator plans {plan.ShardOwners.Length} shards; this model has {shards}.", "Start the coordinator and all workers from one version and recipe.");
        }
        _latestPlan = Math.Max(_latestPlan, plan.Step);
        // A plan for step t is made when everyone has state t − 1: steps before that are needed by nobody.
        Release(upTo: plan.Step - 2);
        var step = StepOf(plan.Step);
        step.Plan = plan;
        foreach (var unit in plan.Units.Where(unit => unit.Member == self && !step.Units.ContainsKey(unit.Id)))
        {
            step.Units.Add(unit.Id, new OwnUnit(unit.Id, unit.Slices, shards));
        }
        DriveAll();
        return Take();
    }

    public IReadOnlyList<WorkerEffect> UnitComputed(long step, int unit)
    {
        if (_steps.TryGetValue(step, out var state))
        {
            state.Units[unit].Done = true;
            Drive(step, state);
        }
        return Take();
    }

    /// <summary>A peer's sum over <paramref name="contribution"/> for one shard. Folded whole, or dropped whole when any of its slices is in the sum already.</summary>
    public IReadOnlyList<WorkerEffect> ContributionArrived(long step, int shard, SliceSet contribution)
    {
        if (!Accepts(step, shard)) return [];
        var state = StepOf(step);
        var target = state.Shards[shard];
        if (target.IsReduced || target.Covered.Overlaps(contribution)) return [];
        target.Covered = target.Covered.Union(contribution);
        Emit(WorkerAction.FoldArrived, step, shard: shard);
        DriveShard(step, state, shard);
        DriveApply(step, state);
        return Take();
    }

    /// <summary>A shard's mean gradient over all slices, from its owner or from a peer that has it.</summary>
    public IReadOnlyList<WorkerEffect> ReducedArrived(long step, int shard, MemberId from)
    {
        if (!Accepts(step, shard)) return [];
        var state = StepOf(step);
        var target = state.Shards[shard];
        if (target.IsReduced) return [];
        target.ReducedFrom = from;
        state.ReducedShards++;
        Emit(WorkerAction.KeepArrived, step, shard: shard);
        DriveShard(step, state, shard);
        DriveApply(step, state);
        return Take();
    }

    public IReadOnlyList<WorkerEffect> Applied(long step)
    {
        Debug.Assert(State == step, "Updates are made one after the other.");
        State = step + 1;
        Emit(WorkerAction.ReportState, step + 1);
        DriveAll();
        return Take();
    }

    /// <summary>What was sent to the peer may be lost: its connection broke and is there again. Everything that it may need is sent anew.</summary>
    public IReadOnlyList<WorkerEffect> LinkReset(MemberId peer)
    {
        _stateSentTo.Remove(peer);
        foreach (var step in _steps.Values)
        {
            foreach (var unit in step.Units.Values) unit.ForgetSentTo(peer);
            foreach (var shard in step.Shards)
            {
                shard.PublishedTo.Remove(peer);
                if (shard.ForwardedTo == peer) shard.ForwardedTo = null;
            }
        }
        DriveAll();
        return Take();
    }

    /// <summary>The coordinator wants state <see cref="SaveOrder.Step"/> stored, or wants another of its keepers to do it.</summary>
    public IReadOnlyList<WorkerEffect> SaveOrdered(SaveOrder order)
    {
        if (!order.Keepers.Contains(self)) return [];
        _orders[order.Step] = order;
        DriveSnapshots();
        return Take();
    }

    /// <summary>State <paramref name="step"/> is safely stored.</summary>
    public IReadOnlyList<WorkerEffect> SaveAnnounced(long step)
    {
        _orders.Remove(step);
        if (_snapshots.Remove(step)) Emit(WorkerAction.DropSnapshot, step);
        return Take();
    }

    private bool Accepts(long step, int shard) =>
        shard >= 0 && shard < shards && step > _released && step <= Math.Max(_latestPlan, State ?? -1) + 1;

    private StepState StepOf(long step)
    {
        if (!_steps.TryGetValue(step, out var state)) _steps.Add(step, state = new StepState(shards));
        return state;
    }

    private void Release(long upTo)
    {
        while (_steps.Count > 0 && _steps.First().Key is var oldest && oldest <= upTo)
        {
            _steps.Remove(oldest);
            Emit(WorkerAction.Release, oldest);
        }
        _released = Math.Max(_released, upTo);
    }

    private void Emit(WorkerAction action, long step, int unit = -1, int shard = -1, MemberId peer = default) =>
        _effects.Add(new WorkerEffect(action, step, unit, shard, peer));

    // Two lists in turn: the caller may hold one answer while nothing else is asked, and nothing is allocated once they have grown.
    private List<WorkerEffect> Take()
    {
        var effects = _effects;
        (_effects, _spareEffects) = (_spareEffects, _effects);
        _effects.Clear();
        return effects;
    }
}
