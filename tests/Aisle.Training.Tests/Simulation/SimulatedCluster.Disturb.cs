using Aisle.Training.Protocol;

namespace Aisle.Training.Tests.Simulation;

/// <summary>What goes wrong in a run.</summary>
[Flags]
internal enum Disturbances
{
    /// <summary>Workers die and come; connections between them break with what is in flight.</summary>
    Deaths = 1,

    /// <summary>Workers stand still for a while; connections to the coordinator break; two workers cannot reach each other; somebody asks to leave.</summary>
    Silence = 2,

    /// <summary>The coordinator dies, and another starts with nothing in memory.</summary>
    Coordinator = 4,
}

internal sealed partial class SimulatedCluster
{
    private readonly SortedSet<int> _stopped = [];
    private List<Action> _left = []; // what may still happen, each once
    private bool _mayLoseAll;

    public int Kills { get; private set; }

    public int Crashes { get; private set; }

    public int Stops { get; private set; }

    public Disturbances Kinds { get; private set; }

    private void Plan(Disturbances kinds)
    {
        Kinds = kinds;
        _mayLoseAll = _random.Next(10) == 0;
        if (kinds.HasFlag(Disturbances.Deaths))
        {
            Add(_random.Next(5), Kill);
            Add(_random.Next(5), Join);
            Add(_random.Next(3), BreakLink);
        }
        if (kinds.HasFlag(Disturbances.Silence))
        {
            Add(_random.Next(4), Stop);
            Add(_random.Next(3), BreakConnection);
            Add(_random.Next(3) / 2, Separate);
            Add(_random.Next(3) / 2, Leave);
        }
        if (kinds.HasFlag(Disturbances.Coordinator)) Add(_random.Next(1, 4), Crash);

        void Add(int times, Action disturbance) => _left.AddRange(Enumerable.Repeat(disturbance, times));
    }

    private void Disturb()
    {
        if (_stopped.Count > 0 && _random.Next(3) == 0) Resume();
        if (_left.Count == 0) return;
        var at = _random.Next(_left.Count);
        var disturbance = _left[at];
        _left.RemoveAt(at);
        disturbance();
    }

    private void Join()
    {
        var worker = new SimulatedWorker(this, _nextProcess++);
        _alive.Add(worker.Process, worker);
        Introduce(worker);
    }

    // Somebody with the state stays, unless this run is one of those that may lose everything and start from what is stored.
    private void Kill()
    {
        var candidates = _alive.Keys.Where(process => _mayLoseAll || !(_active.Count == 1 && _active.Contains(process))).ToList();
        if (candidates.Count == 0) return;
        var victim = candidates[_random.Next(candidates.Count)];
        Kills++;
        _alive.Remove(victim);
        _active.Remove(victim);
        _stopped.Remove(victim);
        foreach (var (_, queue) in _data.Where(queue => queue.Key.From == victim)) LoseTail(queue);
        _toWorker.Remove(victim);
        // What it had said still arrives, up to some point; the news of its death comes whenever it comes.
        LoseTail(Queue(_toCoordinator, victim));
        TellLost(victim);
    }

    private void BreakLink()
    {
        if (_alive.Count < 2) return;
        var (a, b) = (Any(), Any());
        if (a.MemberAt(b.Process) is not { } peer) return;
        LoseTail(Queue(_data, (a.Process, b.Process, a.Term, peer)));
        a.LinkReset(peer);
    }

    private void Stop()
    {
        if (_alive.Count == 0) return;
        Stops++;
        _stopped.Add(Any().Process);
    }

    private void Resume() => _stopped.Remove(_stopped.ElementAt(_random.Next(_stopped.Count)));

    /// <summary>The worker comes back; whether the coordinator notices before that is chance.</summary>
    private void BreakConnection()
    {
        if (_alive.Count == 0) return;
        var worker = Any();
        LoseTail(Queue(_toCoordinator, worker.Process));
        if (_random.Next(2) == 0) TellLost(worker.Process);
        LoseTail(Queue(_toWorker, worker.Process));
        Queue(_toWorker, worker.Process).Enqueue(Introduce);
    }

    /// <summary>One cannot reach the other for a while. Whatever it had sent is lost, and is sent again when they find each other.</summary>
    private void Separate()
    {
        var (a, b) = (Any(), Any());
        if (a == b || a.MemberAt(b.Process) is not { } peer) return;
        LoseTail(Queue(_data, (a.Process, b.Process, a.Term, peer)));
        var life = a.Life;
        Tell(a, id => _coordinator.Unreachable(id, life, peer, Now()));
        a.LinkReset(peer);
    }

    private void Leave()
    {
        if (_alive.Count < 2) return;
        Tell(Any(), id => _coordinator.Leaving(id, Now()));
    }

    private void Crash()
    {
        Crashes++;
        _coordinator = NewCoordinator();
        _connections.Clear();
        foreach (var process in _alive.Keys)
        {
            _toCoordinator.Remove(process);
            LoseTail(Queue(_toWorker, process));
            Queue(_toWorker, process).Enqueue(Introduce);
        }
        foreach (var process in _toCoordinator.Keys.Where(process => !_alive.ContainsKey(process)).ToList()) _toCoordinator.Remove(process);
    }

    private void TellLost(int process) => Queue(_toCoordinator, process).Enqueue(() =>
    {
        if (MemberOf(process) is not { } id) return;
        _connections.Remove(id);
        Carry(_coordinator.Lost(id, "its connection ended", Now()));
    });

    private SimulatedWorker Any() => _alive.Values.ElementAt(_random.Next(_alive.Count));

    private void LoseTail<T>(Queue<T> queue)
    {
        var kept = queue.Take(_random.Next(queue.Count + 1)).ToList();
        queue.Clear();
        foreach (var message in kept) queue.Enqueue(message);
    }
}
