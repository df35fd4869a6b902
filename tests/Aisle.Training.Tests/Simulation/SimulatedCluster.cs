using Aisle.Artifacts;
using Aisle.Training.Protocol;

namespace Aisle.Training.Tests.Simulation;

/// <summary>
/// A coordinator and its workers in one thread. Whatever can happen next is chosen by chance from one seed: a message arrives, a slice is
/// computed, a worker dies, comes, is taken for dead while it lives, or a connection breaks with what is in flight.
/// </summary>
internal sealed class SimulatedCluster
{
    private readonly RunShape _shape;
    private readonly Random _random;
    private readonly CoordinatorProtocol _coordinator;
    private readonly SortedDictionary<MemberId, SimulatedWorker> _alive = [];
    private readonly SortedDictionary<(int From, int To), Queue<DataMessage>> _data = [];
    private readonly SortedDictionary<MemberId, Queue<Action>> _toCoordinator = [];
    private readonly SortedDictionary<MemberId, Queue<Action<SimulatedWorker>>> _toWorker = [];
    private readonly Dictionary<Digest, float[]> _store = [];
    private readonly SortedSet<MemberId> _active = [];
    private readonly bool _mayLoseAll;
    private readonly int _minimum;
    private int _nextId;
    private int _killsLeft;
    private int _joinsLeft;
    private int _suspicionsLeft;
    private int _resetsLeft;
    private long _clock;

    public SimulatedCluster(int seed, int steps = 6, int slices = 11)
    {
        _random = new Random(seed);
        Slices = slices;
        Steps = steps;
        _mayLoseAll = _random.Next(10) == 0;
        _killsLeft = _random.Next(5);
        _joinsLeft = _random.Next(5);
        _suspicionsLeft = _random.Next(3) / 2;
        _resetsLeft = _random.Next(3);
        var workers = _random.Next(1, 6);
        _shape = new RunShape(Digest.Of("recipe"), slices, SimulatedModel.Shards, steps, _random.Next(3));
        _coordinator = new CoordinatorProtocol(new CoordinatorRules
        {
            Run = _random.Next(2) == 0 ? _shape : null,
            MinimumWorkers = _minimum = _random.Next(1, workers + 1),
            SuspectAfter = TimeSpan.MaxValue,
            LearnWithin = TimeSpan.MaxValue,
        });
        for (var i = 0; i < workers; i++) Join();
    }

    public int Slices { get; }

    public int Steps { get; }

    public bool RolledBack { get; private set; }

    public List<(long State, ulong Hash)> Commits { get; } = [];

    public Dictionary<long, ulong> Stored { get; } = [];

    public ulong? Model { get; private set; }

    public bool IsOver { get; private set; }

    public int Kills { get; private set; }

    public void Run(int atMost = 200_000)
    {
        for (var i = 0; !IsOver; i++)
        {
            if (i == atMost) Assert.Fail("The run does not end.");
            if (!Step()) Assert.Fail($"Nothing can happen any more, and the run is not over:\n{Describe()}");
        }
    }

    public string Describe() => string.Join('\n', [
        $"commits {string.Join(',', Commits.Select(commit => commit.State))}; active {string.Join(',', _active)}; waiting messages {_data.Sum(queue => queue.Value.Count)}",
        .. _alive.Values.Select(worker => $"{worker.Id}: state {worker.Rules.State}, {worker.Rules}"),
        .. _alive.Values.SelectMany(worker => worker.Rules.State is { } state ? new[] { worker.Rules.PlanOf(state), worker.Rules.PlanOf(state - 1) } : []).OfType<StepPlan>().Distinct().Select(plan => plan.ToString()),
    ]);

    public void Send(MemberId from, MemberId to, DataMessage message)
    {
        var queue = Queue(_data, (from.Value, to.Value));
        queue.Enqueue(message);
        if (_random.Next(20) == 0) queue.Enqueue(message);
    }

    public void Report(MemberId from, long state, ulong hash) =>
        Queue(_toCoordinator, from).Enqueue(() => Carry(_coordinator.Reached(from, state, new StateReport(hash, 0, false), Now())));

    public void ReportSaved(MemberId from, SaveOrder order, float[] weights)
    {
        var digest = Digest.Of(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(weights));
        _store[digest] = weights;
        Stored[order.Step] = SimulatedModel.Hash(weights);
        Queue(_toCoordinator, from).Enqueue(() => Carry(_coordinator.Saved(from, order.Step, order.Checkpoint ? digest : null, order.Model ? digest : null, Now())));
    }

    public void ReportNotSaved(MemberId from, long step) =>
        Queue(_toCoordinator, from).Enqueue(() => Carry(_coordinator.NotSaved(from, step, "no copy", Now())));

    private TimeSpan Now() => TimeSpan.FromTicks(++_clock);

    private static Queue<T> Queue<TKey, T>(SortedDictionary<TKey, Queue<T>> queues, TKey key)
        where TKey : notnull => queues.TryGetValue(key, out var queue) ? queue : queues[key] = new Queue<T>();

    private bool Step()
    {
        if (_random.Next(60) == 0) Disturb();
        var choices = new List<Action>();
        foreach (var (link, queue) in _data)
        {
            if (queue.Count > 0 && _alive.TryGetValue(new MemberId(link.To), out var worker) && worker.Rules.HasPlan) choices.Add(() => worker.Receive(queue.Dequeue()));
        }
        foreach (var queue in _toCoordinator.Values.Where(queue => queue.Count > 0)) choices.Add(() => queue.Dequeue()());
        foreach (var (id, queue) in _toWorker)
        {
            if (queue.Count > 0 && _alive.TryGetValue(id, out var worker)) choices.Add(() => queue.Dequeue()(worker));
        }
        foreach (var worker in _alive.Values)
        {
            if (worker.HasWork) choices.Add(worker.Work);
            if (worker.Disk.Count > 0) choices.Add(() => worker.Disk.Dequeue()());
        }
        if (choices.Count == 0 && _alive.Count < _minimum) choices.Add(Join); // a run that waits for workers gets one
        if (choices.Count == 0) return false;
        choices[_random.Next(choices.Count)]();
        return true;
    }

    private void Disturb()
    {
        switch (_random.Next(4))
        {
            case 0 when _killsLeft > 0 && Victim() is { } victim:
                _killsLeft--;
                Kill(victim);
                break;
            case 1 when _joinsLeft > 0:
                _joinsLeft--;
                Join();
                break;
            case 2 when _suspicionsLeft > 0 && Victim() is { } suspect:
                // Taken for dead while it lives: its messages go on arriving until it learns that it was given up.
                _suspicionsLeft--;
                Carry(_coordinator.Lost(suspect, "suspected", Now()));
                Queue(_toWorker, suspect).Enqueue(worker => Kill(worker.Id));
                _active.Remove(suspect);
                break;
            case 3 when _resetsLeft > 0 && _alive.Count > 1:
                _resetsLeft--;
                var (a, b) = (_alive.Values.ElementAt(_random.Next(_alive.Count)), _alive.Keys.ElementAt(_random.Next(_alive.Count)));
                LoseTail(Queue(_data, (a.Id.Value, b.Value)));
                a.LinkReset(b);
                break;
        }
    }

    // Somebody with the state stays, unless this run is one of those that may lose everything and start from what is stored.
    private MemberId? Victim()
    {
        var candidates = _alive.Keys.Where(id => _mayLoseAll || !(_active.Count == 1 && _active.Contains(id))).ToList();
        return candidates.Count == 0 ? null : candidates[_random.Next(candidates.Count)];
    }

    private void Join()
    {
        var id = new MemberId(_nextId++);
        _alive.Add(id, new SimulatedWorker(this, id));
        var introduction = new Introduction(new Member(id, $"w{id.Value}", "", 0), _shape, 1, Digest.Of("canary"), "");
        Queue(_toCoordinator, id).Enqueue(() => Carry(_coordinator.Introduced(introduction, Now())));
    }

    private void Kill(MemberId id)
    {
        if (!_alive.Remove(id)) return;
        Kills++;
        _active.Remove(id);
        foreach (var (link, queue) in _data.Where(queue => queue.Key.From == id.Value)) LoseTail(queue);
        _toWorker.Remove(id);
        // What it had said still arrives, up to some point; the news of its death comes whenever it comes.
        var reports = Queue(_toCoordinator, id);
        LoseTail(reports);
        reports.Enqueue(() => Carry(_coordinator.Lost(id, "killed", Now())));
    }

    private void LoseTail<T>(Queue<T> queue)
    {
        var kept = queue.Take(_random.Next(queue.Count + 1)).ToList();
        queue.Clear();
        foreach (var message in kept) queue.Enqueue(message);
    }

    private void Carry(IReadOnlyList<CoordinatorEffect> effects)
    {
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case CoordinatorEffect.SendBegin begin:
                    var stored = begin.Checkpoint is { } digest ? _store[digest] : null;
                    Queue(_toWorker, begin.To).Enqueue(worker => worker.Begin(begin.Source, stored, begin.Step));
                    if (begin.Source != StateSource.Peer && _alive.ContainsKey(begin.To)) _active.Add(begin.To);
                    break;
                case CoordinatorEffect.SendPlan plan:
                    Queue(_toWorker, plan.To).Enqueue(worker => worker.Plan(plan.Plan));
                    break;
                case CoordinatorEffect.SendSaveOrder order:
                    Queue(_toWorker, order.To).Enqueue(worker => worker.Order(order.Order));
                    break;
                case CoordinatorEffect.SendSaved saved:
                    Queue(_toWorker, saved.To).Enqueue(worker => worker.Announce(saved.Step));
                    break;
                case CoordinatorEffect.Joined joined:
                    if (_alive.ContainsKey(joined.Member.Id)) _active.Add(joined.Member.Id);
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
                case CoordinatorEffect.Completed:
                    IsOver = true;
                    break;
                case CoordinatorEffect.Failed failed:
                    throw failed.Reason;
                case CoordinatorEffect.Refuse refuse:
                    throw refuse.Reason;
            }
        }
    }
}
