using Aisle.Training.Numerics;
using Aisle.Training.Protocol;

namespace Aisle.Training.Tests.Simulation;

/// <summary>A worker's rules with arrays for arenas and queues for sockets.</summary>
internal sealed partial class SimulatedWorker(SimulatedCluster cluster, int process)
{
    private readonly Queue<WorkerEffect> _work = new();
    private readonly HashSet<(long, long, int)> _computed = [];
    private readonly SortedDictionary<MemberId, int> _peers = []; // of this life's plans
    private readonly Dictionary<(long Step, int Unit), long[]> _units = [];
    private readonly Dictionary<(long Step, int Shard), long[]> _sums = [];
    private readonly Dictionary<long, float[]> _reduced = [];
    private readonly Dictionary<long, float[]> _snapshots = [];
    private readonly Dictionary<long, SaveOrder> _orders = [];
    private float[] _weights = [];
    private long? _state;
    private bool _torn;
    private bool _isOwn;
    private MemberId _welcomedAs;
    private Action? _begin; // waits for the computing thread
    private (long[] Sum, Queue<int> Left)? _computing;

    public int Process => process;

    /// <summary>How often it has connected to a coordinator.</summary>
    public int Connections { get; set; }

    public MemberId Member { get; private set; } = new(-1);

    public long Term { get; private set; }

    public long Life { get; private set; }

    public WorkerProtocol Rules { get; private set; } = new(new MemberId(-1), cluster.Slices, SimulatedModel.Shards, cluster.MostKept);

    public Queue<Action> Disk { get; } = new();

    public bool HasWork => !_isAccused && (_begin is not null || _work.Count > 0 || _computing is not null || _pieces.Count > 0);

    /// <summary>What it would bring along to a coordinator that knows nothing of it.</summary>
    public Returning? Returning => (_begin is null || _isOwn) && _state is { } state && Life != 0
        ? new Returning(Term, Member, Life, Rules.PlanOf(Rules.PlannedUpTo)?.Members.Length ?? 0, Rules.PlannedUpTo, state, Report()) { Generation = _generation, ShutOut = _shutOut }
        : null;

    public int? ProcessOf(MemberId peer) => _peers.TryGetValue(peer, out var process) ? process : null;

    public MemberId? MemberAt(int process)
    {
        MemberId? latest = null;
        foreach (var (id, at) in _peers)
        {
            if (at == process) latest = id;
        }
        return latest;
    }

    public void Welcome(MemberId id)
    {
        _welcomedAs = id;
        if (id == Member && Life != 0)
        {
            Carry(Rules.CoordinatorReturned());
            SayAgain();
        }
    }

    public void Begin(BeginOrder order, float[]? stored)
    {
        if (_torn)
        {
            // An update that has begun is ended, whatever is said meanwhile.
            Update(_state!.Value);
            _state++;
            _torn = false;
            Settle();
        }
        (Member, Term, Life, _generation, _shutOut) = (order.Member, order.Term, order.Life, order.Generation, order.ShutOut);
        Recover(order);
        Rules = new WorkerProtocol(Member, cluster.Slices, SimulatedModel.Shards, cluster.MostKept);
        _work.Clear();
        BeginLesson();
        _computing = null;
        _units.Clear();
        _sums.Clear();
        _reduced.Clear();
        _snapshots.Clear();
        _orders.Clear();
        _peers.Clear();
        _isOwn = order.Source == StateSource.Own;
        if (order.Source == StateSource.Peer) _state = null;
        _begin = order.Source == StateSource.Peer ? null : () =>
        {
            if (order.Source != StateSource.Own) (_weights, _state) = (order.Source == StateSource.Initial ? SimulatedModel.Initial() : [.. stored!], order.Step);
            Settle();
            Carry(Rules.StateArrived(_state!.Value));
        };
    }

    public void Plan(StepPlan plan)
    {
        foreach (var member in plan.Receivers) _peers[member.Id] = member.Port;
        Carry(Rules.Planned(plan));
    }

    public void Order(SaveOrder order)
    {
        _orders[order.Step] = order;
        Carry(Rules.SaveOrdered(order));
    }

    public void OrderAudit(long step, SliceSet slices) => Carry(Rules.AuditOrdered(step, slices));

    public void Clear(long step) => Carry(Rules.Cleared(step));

    public void Announce(long step) => Carry(Rules.SaveAnnounced(step));

    public void LinkReset(MemberId peer) => Carry(Rules.LinkReset(peer));

    public void Receive(DataMessage message)
    {
        switch (message)
        {
            case DataMessage.Contribution contribution:
                Carry(Rules.ContributionArrived(contribution.Step, contribution.Shard, contribution.Slices), contribution: contribution.Values);
                break;
            case DataMessage.Reduced reduced:
                Carry(Rules.ReducedArrived(reduced.Step, reduced.Shard, reduced.From), reduced: reduced.Values);
                break;
            case DataMessage.State piece:
                _pieces.Enqueue(piece);
                break;
            case DataMessage.Ask ask:
                Carry(Rules.StateAsked(ask.From, ask.Shard, ask.AtLeast));
                break;
        }
    }

    /// <summary>One slice, or one update.</summary>
    public void Work()
    {
        if (_begin is { } begin)
        {
            _begin = null;
            begin();
            return;
        }
        if (_work.Count == 0)
        {
            TakePiece(_pieces.Dequeue());
            return;
        }
        if (_computing is { } computing)
        {
            var unit = _work.Peek();
            if (Abandoned(unit.Step))
            {
                _computing = null;
                _work.Dequeue();
                return;
            }
            var slice = computing.Left.Dequeue();
            Assert.True(_computed.Add((Life, unit.Step, slice)) || cluster.Hedges > 0 || cluster.AuditFraction >= 1 || cluster.Kinds.HasFlag(Disturbances.Silence), $"{process} computed slice {slice} of step {unit.Step} twice.");
            Assert.Equal(unit.Step, Rules.State);
            FixedPoint.Accumulate(Gradient(unit.Step, slice), computing.Sum, SimulatedModel.FractionBits);
            if (computing.Left.Count > 0) return;
            _work.Dequeue();
            _computing = null;
            _units[(unit.Step, unit.Unit)] = computing.Sum;
            if (Accuses()) return;
            cluster.ReportComputed(this, unit.Unit);
            Carry(Rules.UnitComputed(unit.Step, unit.Unit));
            return;
        }
        var next = _work.Peek();
        if (next.Action == WorkerAction.Compute)
        {
            var slices = Rules.PlanOf(next.Step)!.Units.Single(unit => unit.Id == next.Unit).Slices;
            _computing = (new long[SimulatedModel.Elements], new Queue<int>(slices.Slices()));
            return;
        }
        if (next.Action == WorkerAction.Audit)
        {
            _work.Dequeue();
            if (next.Step == _state && !Accuses()) Audit(next.Step, next.Unit);
            return;
        }
        if (next.Action is WorkerAction.Follow or WorkerAction.BecomeState)
        {
            _work.Dequeue();
            if (next.Action == WorkerAction.Follow) Follow(next.Step);
            else EndLesson(next.Step);
            return;
        }
        if (!_torn)
        {
            _torn = true; // an update takes its time, and what else happens meanwhile must leave the weights alone
            return;
        }
        _torn = false;
        _work.Dequeue();
        Update(next.Step);
        _state = next.Step + 1;
        Settle();
        Carry(Rules.Applied(next.Step));
    }

    private bool Abandoned(long step) => _work.Any(effect => effect.Action == WorkerAction.Apply && effect.Step == step);

    private void Carry(IReadOnlyList<WorkerEffect> effects, long[]? contribution = null, float[]? reduced = null)
    {
        foreach (var effect in effects.ToList())
        {
            var (step, shard) = (effect.Step, effect.Shard);
            switch (effect.Action)
            {
                case WorkerAction.Compute or WorkerAction.Apply or WorkerAction.Audit or WorkerAction.Follow or WorkerAction.BecomeState:
                    _work.Enqueue(effect);
                    break;
                case WorkerAction.FoldOwn:
                    Fold(step, shard, ShardOf(_units[(step, effect.Unit)], shard));
                    break;
                case WorkerAction.FoldArrived:
                    Fold(step, shard, contribution!);
                    break;
                case WorkerAction.Reduce:
                    var mean = new float[SimulatedModel.ShardElements];
                    FixedPoint.Mean(_sums[(step, shard)], mean, SimulatedModel.FractionBits, cluster.Slices);
                    mean.CopyTo(Gradient(step), shard * SimulatedModel.ShardElements);
                    Carry(Rules.ShardReduced(step, shard));
                    break;
                case WorkerAction.KeepArrived:
                    reduced!.CopyTo(Gradient(step), shard * SimulatedModel.ShardElements);
                    break;
                case WorkerAction.SendContribution:
                    var slices = Rules.PlanOf(step)!.Units.SingleOrDefault(unit => unit.Id == effect.Unit)?.Slices;
                    cluster.Send(this, effect.Peer, new DataMessage.Contribution(step, shard, slices!, ShardOf(_units[(step, effect.Unit)], shard)));
                    break;
                case WorkerAction.SendReduced:
                    cluster.Send(this, effect.Peer, new DataMessage.Reduced(step, shard, Member, Gradient(step).AsSpan(shard * SimulatedModel.ShardElements, SimulatedModel.ShardElements).ToArray()));
                    break;
                case WorkerAction.SendState:
                    Assert.False(_torn, "A state was sent in the middle of an update.");
                    Assert.Equal(step, _state);
                    cluster.Send(this, effect.Peer, new DataMessage.State(step, shard, _weights.AsSpan(shard * SimulatedModel.ShardElements, SimulatedModel.ShardElements).ToArray(), [.. _taughtBy, process]));
                    break;
                case WorkerAction.AskState:
                    cluster.Send(this, effect.Peer, new DataMessage.Ask(Member, shard, step));
                    break;
                case WorkerAction.ReportLearning:
                    cluster.ReportLearning(this, step);
                    break;
                case WorkerAction.ReportState:
                    cluster.Report(this, step, _report);
                    break;
                case WorkerAction.KeepSnapshot:
                    Assert.False(_torn, "A state was copied in the middle of an update.");
                    _snapshots[step] = [.. _weights];
                    break;
                case WorkerAction.WriteSnapshot:
                    var (order, snapshot) = (_orders[step], _snapshots[step]);
                    Disk.Enqueue(() => cluster.ReportSaved(this, order, snapshot));
                    break;
                case WorkerAction.ReportNoSnapshot:
                    cluster.ReportNotSaved(this, step);
                    break;
                case WorkerAction.DropSnapshot:
                    _snapshots.Remove(step);
                    break;
                case WorkerAction.Release:
                    foreach (var key in _units.Keys.Where(key => key.Step == step).ToList()) _units.Remove(key);
                    foreach (var key in _sums.Keys.Where(key => key.Step == step).ToList()) _sums.Remove(key);
                    _reduced.Remove(step);
                    break;
            }
        }
    }

    private void Fold(long step, int shard, long[] values)
    {
        if (!_sums.TryGetValue((step, shard), out var sum)) _sums[(step, shard)] = sum = new long[SimulatedModel.ShardElements];
        for (var i = 0; i < sum.Length; i++) sum[i] += values[i];
    }

    private float[] Gradient(long step) => _reduced.TryGetValue(step, out var gradient) ? gradient : _reduced[step] = new float[SimulatedModel.Elements];

    private static long[] ShardOf(long[] values, int shard) => values.AsSpan(shard * SimulatedModel.ShardElements, SimulatedModel.ShardElements).ToArray();
}

/// <summary>What workers say to each other.</summary>
internal abstract record DataMessage
{
    public sealed record Contribution(long Step, int Shard, SliceSet Slices, long[] Values) : DataMessage;

    public sealed record Reduced(long Step, int Shard, MemberId From, float[] Values) : DataMessage;

    public sealed record State(long Step, int Shard, float[] Weights, int[] TaughtBy) : DataMessage;

    public sealed record Ask(MemberId From, int Shard, long AtLeast) : DataMessage;
}
