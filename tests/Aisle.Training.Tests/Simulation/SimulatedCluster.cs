using Aisle.Artifacts;
using Aisle.Training.Protocol;

namespace Aisle.Training.Tests.Simulation;

/// <summary>
/// A coordinator and its workers in one thread. Whatever can happen next is chosen by chance from one seed: a message arrives, a slice is
/// computed, time passes, or something goes wrong (<see cref="Disturb"/>).
/// </summary>
internal sealed partial class SimulatedCluster
{
    private readonly RunShape _shape;
    private readonly Random _random;
    private readonly SortedDictionary<int, SimulatedWorker> _alive = [];
    private readonly SortedDictionary<(int From, int To, long Term, MemberId Member), Queue<DataMessage>> _data = [];
    private readonly SortedDictionary<int, Queue<Action>> _toCoordinator = [];
    private readonly SortedDictionary<int, Queue<Action<SimulatedWorker>>> _toWorker = [];
    private readonly SortedDictionary<MemberId, int> _connections = []; // member → process, as the coordinator of the moment knows them
    private readonly Dictionary<int, int> _accepted = []; // process → which of its connections the coordinator has
    private readonly Dictionary<Digest, float[]> _store = [];
    private readonly SortedSet<int> _active = [];
    private readonly int _minimum;
    private readonly int _mostBehind;
    private CoordinatorProtocol _coordinator;
    private int _nextProcess;
    private long _coordinators;
    private TimeSpan _clock;

    public SimulatedCluster(int seed, Disturbances disturbances, int steps = 6, int slices = 11, double audit = 0, Corruption? corruption = null)
    {
        (AuditFraction, _corruption) = (audit, corruption);
        _random = new Random(seed);
        Slices = slices;
        Steps = steps;
        Plan(disturbances);
        (MostKept, _mostBehind) = (_random.Next(1, 6), _random.Next(1, 6));
        var workers = _random.Next(1, 6);
        _minimum = _random.Next(1, workers + 1);
        _shape = new RunShape(Digest.Of("recipe"), slices, SimulatedModel.Shards, steps, _random.Next(3));
        _coordinator = NewCoordinator();
        for (var i = 0; i < workers; i++) Join();
    }

    public int Slices { get; }

    /// <summary>See <see cref="WorkerProtocol"/>.</summary>
    public int MostKept { get; }

    /// <summary>Pieces of a state that a learner took in.</summary>
    public int Pieces { get; private set; }

    /// <summary>Those among them that others had made steps since.</summary>
    public int LatePieces { get; private set; }

    public void NotePiece(long stepsSince)
    {
        Pieces++;
        if (stepsSince > 0) LatePieces++;
    }

    public int Steps { get; }

    public bool RolledBack { get; private set; }

    public List<(long State, ulong Hash)> Commits { get; } = [];

    public Dictionary<long, ulong> Stored { get; } = [];

    public ulong? Model { get; private set; }

    public bool IsOver { get; private set; }

    public int Reunions { get; private set; }

    public int Returns { get; private set; }

    public int Hedges { get; private set; }

    public int WentAway { get; private set; }

    public void Run(int atMost = 50_000)
    {
        var idle = 0;
        for (var i = 0; !IsOver; i++)
        {
            if (i == atMost) Assert.Fail($"The run does not end:\n{Describe()}");
            idle = Step() ? 0 : idle + 1;
            if (idle == 500) Assert.Fail($"Nothing can happen any more, and the run is not over:\n{Describe()}");
        }
    }

    public string Describe() => string.Join('\n', [
        $"sick {_sick} corrupted {IsCorrupted} alone {WasAlone} quarantined {string.Join(',', Quarantined)} doubted {string.Join(',', _doubted)}; to workers {string.Join(' ', _toWorker.Where(q => q.Value.Count > 0).Select(q => $"{q.Key}:{q.Value.Count}"))}; to coordinator {string.Join(' ', _toCoordinator.Where(q => q.Value.Count > 0).Select(q => $"{q.Key}:{q.Value.Count}"))}; connections {string.Join(' ', _connections.Select(c => $"{c.Key}@{c.Value}"))}",
        $"commits {string.Join(',', Commits.Select(commit => commit.State))}; active {string.Join(',', _active)}; stopped {string.Join(',', _stopped)}; waiting messages {string.Join(',', _data.Where(queue => queue.Value.Count > 0).Select(queue => $"{queue.Key}×{queue.Value.Count}"))}",
        .. _alive.Values.Select(worker => $"process {worker.Process} as {worker.Member}: state {worker.Rules.State}, followed {worker.Rules.FollowedUpTo}, accused {worker.IsAccused}, term {worker.Term}, life {worker.Life}, planned {worker.Rules.PlannedUpTo}"),
        .. _alive.Values.SelectMany(worker => worker.Rules.State is { } state ? new[] { worker.Rules.PlanOf(state), worker.Rules.PlanOf(state - 1) } : []).OfType<StepPlan>().DistinctBy(plan => plan.Epoch)
            .Select(plan => $"plan {plan.Epoch} of {plan.Step}: members {string.Join(',', plan.Members.Select(member => member.Id))} learners {string.Join(',', plan.Learners.Select(learner => $"{learner.Member.Id}<{string.Join('/', learner.Donors)}"))} units {string.Join(' ', plan.Units.Select(unit => $"{unit.Id}:{unit.Slices}@{unit.Member}"))} owners {string.Join(',', plan.ShardOwners)}"),
    ]);

    public void Send(SimulatedWorker from, MemberId to, DataMessage message)
    {
        if (from.ProcessOf(to) is not { } process) return;
        var queue = Queue(_data, (from.Process, process, from.Term, to));
        queue.Enqueue(message);
        if (_random.Next(20) == 0) queue.Enqueue(message);
    }

    public void Report(SimulatedWorker from, long state, StateReport report)
    {
        var life = from.Life;
        var took = TimeSpan.FromMilliseconds(_random.Next(1, 2000));
        Tell(from, id =>
        {
            _coordinator.Timed(id, _random.Next(0, 4), took);
            return [];
        });
        Tell(from, id => _coordinator.Reached(id, life, state, report, Now()));
    }

    public void ReportLearning(SimulatedWorker from, long state)
    {
        var life = from.Life;
        Tell(from, id => _coordinator.Learning(id, life, state, Now()));
    }

    public void ReportComputed(SimulatedWorker from, int unit)
    {
        var life = from.Life;
        Tell(from, id => _coordinator.UnitComputed(id, life, unit, Now()));
    }

    public void ReportSaved(SimulatedWorker from, SaveOrder order, float[] weights)
    {
        var digest = Digest.Of(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(weights));
        _store[digest] = weights;
        var hash = SimulatedModel.Hash(weights);
        if (!IsCorrupted) Stored[order.Step] = hash;
        Tell(from, id => _coordinator.Saved(id, order.Step, order.Checkpoint ? digest : null, order.Model ? digest : null, order.Generation, new StateHash(hash, hash), Now()));
    }

    public void ReportNotSaved(SimulatedWorker from, long step) => Tell(from, id => _coordinator.NotSaved(id, step, "no copy", Now()));

    private CoordinatorProtocol NewCoordinator() => new(new CoordinatorRules
    {
        Run = _random.Next(2) == 0 ? _shape : null,
        ResumeFrom = _random.Next(2) == 0 && Announced.Count > 0 ? Announced[^1] : null,
        MinimumWorkers = _minimum,
        AuditFraction = AuditFraction,
        Term = 1_000_000 * ++_coordinators,
        GiveUpAfter = _random.Next(4) == 0 ? TimeSpan.FromSeconds(3) : TimeSpan.MaxValue,
        LearnWithin = TimeSpan.MaxValue,
        MostBehind = _mostBehind,
        WaitForLearner = _random.Next(4) == 0 ? TimeSpan.FromSeconds(2) : TimeSpan.MaxValue,
    });

    private TimeSpan Now() => _clock += TimeSpan.FromTicks(1);

    private static Queue<T> Queue<TKey, T>(SortedDictionary<TKey, Queue<T>> queues, TKey key)
        where TKey : notnull => queues.TryGetValue(key, out var queue) ? queue : queues[key] = new Queue<T>();

    /// <summary>On the worker's connection of the moment: whoever it is to the coordinator when the message arrives.</summary>
    private void Tell(SimulatedWorker from, Func<MemberId, IReadOnlyList<CoordinatorEffect>> rule) => Queue(_toCoordinator, from.Process).Enqueue(() =>
    {
        if (MemberOf(from.Process) is { } id) Carry(rule(id));
    });

    private MemberId? MemberOf(int process)
    {
        foreach (var (id, at) in _connections)
        {
            if (at == process) return id;
        }
        return null;
    }

    private void Introduce(SimulatedWorker worker)
    {
        var introduction = new Introduction($"w{worker.Process}", "", worker.Process, _shape, 1, Digest.Of("canary"), "") { Returning = worker.Returning };
        var connection = ++worker.Connections;
        Queue(_toCoordinator, worker.Process).Enqueue(() =>
        {
            _accepted[worker.Process] = connection;
            if (MemberOf(worker.Process) is { } before) _connections.Remove(before);
            var effects = _coordinator.Introduced(introduction, Now(), out var id);
            _connections[id] = worker.Process;
            Queue(_toWorker, worker.Process).Enqueue(welcomed => welcomed.Welcome(id));
            Carry(effects);
        });
    }

    private bool Step()
    {
        Watch();
        if (_random.Next(60) == 0) Disturb();
        if (_random.Next(25) == 0) Tick();
        var choices = new List<Action>();
        foreach (var ((_, to, term, member), queue) in _data)
        {
            if (queue.Count == 0 || !IsRunning(to, out var worker)) continue;
            if (term < worker.Term) queue.Clear(); // for a life that is over: the connection is closed, and its other end has no more use for it
            else if (term == worker.Term && member == worker.Member && worker.Rules.HasPlan) choices.Add(() => worker.Receive(queue.Dequeue()));
        }
        foreach (var queue in _toCoordinator.Values.Where(queue => queue.Count > 0)) choices.Add(() => queue.Dequeue()());
        foreach (var (process, queue) in _toWorker)
        {
            if (queue.Count > 0 && IsRunning(process, out var worker)) choices.Add(() => queue.Dequeue()(worker));
        }
        foreach (var worker in _alive.Values.Where(worker => !_stopped.Contains(worker.Process)))
        {
            if (worker.HasWork) choices.Add(worker.Work);
            if (worker.Disk.Count > 0) choices.Add(() => worker.Disk.Dequeue()());
        }
        if (choices.Count == 0)
        {
            if (_alive.Count < _minimum) Join(); // a run that waits for workers gets one
            else if (_stopped.Count > 0 && _random.Next(10) == 0) Resume();
            else Tick();
            return false;
        }
        choices[_random.Next(choices.Count)]();
        return true;
    }

    private bool IsRunning(int process, out SimulatedWorker worker) => _alive.TryGetValue(process, out worker!) && !_stopped.Contains(process);

    private void Tick()
    {
        _clock += TimeSpan.FromMilliseconds(250);
        foreach (var (id, process) in _connections.ToList())
        {
            if (IsRunning(process, out _) && _random.Next(10) != 0) Carry(_coordinator.Heard(id, Now()));
        }
        Carry(_coordinator.Ticked(Now()));
    }

    private void Carry(IReadOnlyList<CoordinatorEffect> effects)
    {
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case CoordinatorEffect.SendBegin begin:
                    var stored = begin.Order.Checkpoint is { } digest ? _store[digest] : null;
                    Send(begin.To, worker => worker.Begin(begin.Order, stored));
                    if (_connections.Remove(begin.To, out var at)) _connections.Add(begin.Order.Member, at);
                    if (begin.Order.Source != StateSource.Peer) Activate(begin.Order.Member);
                    break;
                case CoordinatorEffect.SendPlan plan:
                    Send(plan.To, worker => worker.Plan(plan.Plan));
                    break;
                case CoordinatorEffect.SendSaveOrder order:
                    Send(order.To, worker => worker.Order(order.Order));
                    break;
                case CoordinatorEffect.SendSaved saved:
                    Send(saved.To, worker => worker.Announce(saved.Step));
                    break;
                case CoordinatorEffect.SendFinished finished:
                    Send(finished.To, worker => _alive.Remove(worker.Process));
                    break;
                case CoordinatorEffect.HangUp hangUp when _connections.TryGetValue(hangUp.To, out var process):
                    _connections.Remove(hangUp.To);
                    Queue(_toWorker, process).Enqueue(Introduce);
                    break;
                case CoordinatorEffect.Joined joined:
                    _doubted.Remove(joined.Member.Port);
                    Activate(joined.Member.Id);
                    break;
                case CoordinatorEffect.Suspected suspected:
                    _doubted.Add(suspected.Member.Port);
                    break;
                case CoordinatorEffect.Left left:
                    _active.Remove(left.Member.Port);
                    break;
                case CoordinatorEffect.WentAway went:
                    WentAway++;
                    _active.Remove(went.Member.Port);
                    break;
                case CoordinatorEffect.Returned returned:
                    Returns++;
                    _doubted.Remove(returned.Member.Port);
                    Activate(returned.Member.Id);
                    break;
                case CoordinatorEffect.Hedged:
                    Hedges++;
                    break;
                case CoordinatorEffect.Reunited:
                    Reunions++;
                    break;
                case CoordinatorEffect.Committed committed:
                    Commits.Add((committed.State, committed.Report.WeightsHash));
                    break;
                case CoordinatorEffect.RolledBack:
                    RolledBack = true;
                    break;
                case CoordinatorEffect.Stored { IsModel: true } model:
                    Model = SimulatedModel.Hash(_store[model.Digest]);
                    break;
                case CoordinatorEffect.Stored checkpoint:
                    Announced.Add((checkpoint.Step, checkpoint.Digest));
                    break;
                case CoordinatorEffect.Completed:
                    IsOver = true;
                    break;
                case CoordinatorEffect.SendAudit audit:
                    Send(audit.To, worker => worker.OrderAudit(audit.Step, audit.Slices));
                    break;
                case CoordinatorEffect.SendCleared cleared:
                    Send(cleared.To, worker => worker.Clear(cleared.Step));
                    break;
                case CoordinatorEffect.Quarantined quarantined:
                    Quarantined.Add(quarantined.Name);
                    break;
                case CoordinatorEffect.Withdrawn withdrawn:
                    Assert.True(Announced.Remove((withdrawn.Step, withdrawn.Digest)), "A checkpoint was withdrawn that nobody was told of.");
                    break;
                case CoordinatorEffect.Failed { Reason.Code: "AISLE-5191" } when _corruption is not null:
                    IsOver = HasGivenUp = true;
                    break;
                case CoordinatorEffect.Failed failed:
                    throw failed.Reason;
                case CoordinatorEffect.Refuse { Reason.Code: "AISLE-5190" or "AISLE-5191" } refuse:
                    Send(refuse.To, worker => Vanish(worker.Process));
                    if (_connections.Remove(refuse.To, out var refused)) _active.Remove(refused);
                    break;
                case CoordinatorEffect.Refuse refuse:
                    throw refuse.Reason;
            }
        }
    }

    private void Activate(MemberId id)
    {
        if (_connections.TryGetValue(id, out var process) && _alive.ContainsKey(process)) _active.Add(process);
    }

    private void Send(MemberId to, Action<SimulatedWorker> message)
    {
        if (!_connections.TryGetValue(to, out var process)) return;
        var connection = _accepted[process];
        Queue(_toWorker, process).Enqueue(worker =>
        {
            if (worker.Connections == connection) message(worker); // else it was on its way on one that is closed
        });
    }
}
