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
/// <param name="mostKept">Of how many steps a learner keeps the gradients, at most, while a piece of the state is on its way to it. At least 1.</param>
public sealed partial class WorkerProtocol(MemberId self, int slices, int shards, int mostKept = 16)
{
    private readonly SliceSet _all = SliceSet.Range(0, slices);
    private readonly List<StepState> _steps = []; // in rising order; three at most, but for what peers say ahead of their plan
    private readonly Stack<StepState> _spareSteps = []; // used again, so that a step in the steady state allocates nothing
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

    /// <summary>The last step there is a plan for; −1 before the first.</summary>
    public long PlannedUpTo => _latestPlan;

    /// <summary>Whether a plan has come. Until then there is no telling which steps peers may rightly speak of: let them wait.</summary>
    public bool HasPlan => _latestPlan >= 0;

    public StepPlan? PlanOf(long step) => Find(step)?.Plan;

    /// <summary>Whether a reduced shard would be taken in, were it here.</summary>
    public bool Lacks(long step, int shard) => Accepts(step, shard) && Find(step)?.Shards[shard].IsReduced != true;

    /// <summary>The weights are there: initial, from a checkpoint or from a donor.</summary>
    public IReadOnlyList<WorkerEffect> StateArrived(long state)
    {
        Debug.Assert(State is null, "A worker receives a state once.");
        State = state;
        _lesson = null;
        Emit(WorkerAction.ReportState, state);
        DriveAll();
        return Take();
    }

    /// <summary>The coordinator is there again after a break: what was told to it may be lost.</summary>
    public IReadOnlyList<WorkerEffect> CoordinatorReturned()
    {
        _written.Clear();
        if (State is { } state) Emit(WorkerAction.ReportState, state);
        else if (_lesson is { } lesson) Emit(WorkerAction.ReportLearning, lesson.State);
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
        if (plan.Step >= _latestPlan)
        {
            _gifts.RemoveAll(gift => plan.Step >= gift.AtLeast && !Has(plan, gift.To)); // should it ever come again, it asks again
            LearnFrom(plan);
        }
        _latestPlan = Math.Max(_latestPlan, plan.Step);
        _oldest = Math.Max(_oldest, plan.Oldest);
        ReleaseUnneeded();
        var step = StepOf(plan.Step);
        step.Plan = plan;
        foreach (var unit in plan.Units)
        {
            if (unit.Member == self) step.Take(unit);
        }
        DriveAll();
        return Take();
    }

    /// <summary>The coordinator wants slices of others computed as well.</summary>
    public IReadOnlyList<WorkerEffect> AuditOrdered(long step, SliceSet slices)
    {
        if (step <= _released || State > step) return [];
        var state = StepOf(step);
        foreach (var slice in slices.Slices()) state.Audits.Enqueue(slice);
        Drive(state);
        return Take();
    }

    /// <summary>The step's audited slices are right: nothing holds it back any more.</summary>
    public IReadOnlyList<WorkerEffect> Cleared(long step)
    {
        if (step <= _released) return [];
        var state = StepOf(step);
        state.IsCleared = true;
        Drive(state);
        return Take();
    }

    /// <summary>The unit's sum is final in every shard.</summary>
    public IReadOnlyList<WorkerEffect> UnitComputed(long step, int unit)
    {
        if (Find(step) is { } state)
        {
            Array.Fill(state.UnitOf(unit).Done, true);
            Drive(state);
        }
        return Take();
    }

    /// <summary>The unit's sum is final in this shard; others may still change.</summary>
    public IReadOnlyList<WorkerEffect> UnitShardComputed(long step, int unit, int shard)
    {
        if (Find(step) is { } state)
        {
            state.UnitOf(unit).Done[shard] = true;
            DriveShard(state, shard);
            DriveApply(state);
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
        target.Covered.Add(contribution);
        Emit(WorkerAction.FoldArrived, step, shard: shard);
        DriveShard(state, shard);
        DriveApply(state);
        return Take();
    }

    /// <summary>
    /// A contribution that was taken in could not be read when its turn came: its owner is past the step, or has begun anew. The shard lacks its slices
    /// again, and whoever had others turned down for them must be asked to send once more.
    /// </summary>
    public IReadOnlyList<WorkerEffect> ContributionLost(long step, int shard, SliceSet contribution)
    {
        if (Find(step) is not { } state || state.Shards[shard] is not { IsReduced: false } target) return Take();
        target.Covered.Remove(contribution);
        target.ReduceAsked = false;
        foreach (var unit in state.Units)
        {
            if (unit.SentTo[shard] == self && !target.Covered.Overlaps(unit.Slices)) unit.SentTo[shard] = null;
        }
        DriveShard(state, shard);
        return Take();
    }

    /// <summary><see cref="WorkerAction.Reduce"/> has been carried out.</summary>
    public IReadOnlyList<WorkerEffect> ShardReduced(long step, int shard)
    {
        if (Find(step) is { } state && state.Shards[shard] is { IsReduced: false } target) BecomeReduced(state, shard, target, self);
        return Take();
    }

    /// <summary>A shard's mean gradient over all slices, from its owner or from a peer that has it.</summary>
    public IReadOnlyList<WorkerEffect> ReducedArrived(long step, int shard, MemberId from)
    {
        if (!Lacks(step, shard)) return [];
        var state = StepOf(step);
        Emit(WorkerAction.KeepArrived, step, shard: shard);
        BecomeReduced(state, shard, state.Shards[shard], from);
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
        GiveAgain(peer);
        AskAgain(peer);
        foreach (var step in _steps)
        {
            foreach (var unit in step.Units) unit.ForgetSentTo(peer);
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
        shard >= 0 && shard < shards && step > _released && step <= Math.Max(_latestPlan, State ?? -1) + MostAhead;

    private StepState? Find(long step)
    {
        foreach (var state in _steps)
        {
            if (state.Step == step) return state;
        }
        return null;
    }

    private StepState StepOf(long step)
    {
        if (Find(step) is { } known) return known;
        var state = _spareSteps.TryPop(out var spare) ? spare : new StepState(shards);
        state.Step = step;
        var at = _steps.Count;
        while (at > 0 && _steps[at - 1].Step > step) at--;
        _steps.Insert(at, state);
        return state;
    }

    private void Release(long upTo)
    {
        while (_steps.Count > 0 && _steps[0] is var oldest && oldest.Step <= upTo)
        {
            _steps.RemoveAt(0);
            Emit(WorkerAction.Release, oldest.Step);
            oldest.Forget();
            _spareSteps.Push(oldest);
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
