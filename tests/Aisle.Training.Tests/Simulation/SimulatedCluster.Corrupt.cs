using Aisle.Artifacts;
using Aisle.Training.Protocol;

namespace Aisle.Training.Tests.Simulation;

/// <summary>Where a worker's machine goes wrong.</summary>
internal enum Corruption
{
    /// <summary>A bit of a gradient it computes.</summary>
    Gradient,

    /// <summary>A bit of its weights flips in memory and stays flipped.</summary>
    Weight,

    /// <summary>Its update makes something else of the same numbers.</summary>
    Update,
}

/// <summary>One worker goes wrong at a moment drawn from the seed, once or again and again.</summary>
internal sealed partial class SimulatedCluster
{
    private readonly Corruption? _corruption;
    private readonly SortedSet<int> _doubted = []; // whom the coordinator does not count on at the moment
    private int _sick = -1;
    private bool _isLasting;
    private bool _isOnce;

    public double AuditFraction { get; }

    /// <summary>Checkpoints that somebody was told of and that were not withdrawn, oldest first.</summary>
    public List<(long, Digest)> Announced { get; } = [];

    public HashSet<string> Quarantined { get; } = [];

    public bool HasGivenUp { get; private set; }

    /// <summary>Something went wrong in some worker.</summary>
    public bool IsCorrupted { get; private set; }

    /// <summary>At some moment after that, nobody was left who could tell: the sick worker was alone with its state, or with those that have it from it.</summary>
    public bool WasAlone { get; private set; }

    public string Sick => $"w{_sick}";

    /// <summary>Asked at each operation that may go wrong.</summary>
    public bool GoesWrong(SimulatedWorker worker, Corruption where)
    {
        if (where != _corruption || HasGivenUp) return false;
        if (_sick < 0)
        {
            if (_active.Count < 2 || !_active.Contains(worker.Process) || _random.Next(25) != 0) return false;
            _sick = worker.Process;
            (_isLasting, _isOnce) = _random.Next(3) switch
            {
                0 => (true, false),
                1 => (false, true),
                _ => (false, false),
            };
        }
        else if (worker.Process != _sick || _isOnce || (!_isLasting && _random.Next(3) != 0))
        {
            return false;
        }
        IsCorrupted = true;
        // A step that was planned when only one worker could be counted on has no second one to look at it.
        if (AuditFraction >= 1 && worker.IsUnaudited) WasAlone = true;
        return true;
    }

    /// <summary>0 to <paramref name="limit"/> − 1; the same each time for a machine that goes wrong the same way each time.</summary>
    public int Draw(int limit) => _isLasting ? 3 % limit : _random.Next(limit);

    public void TellHash(SimulatedWorker from, long step, int slice, UInt128 hash)
    {
        var life = from.Life;
        Tell(from, id => _coordinator.SliceHashed(id, life, step, slice, hash, Now()));
    }

    public void TellAccusation(SimulatedWorker from, long state)
    {
        var life = from.Life;
        Tell(from, id => _coordinator.SelfAccused(id, life, state, "its weights changed in memory", Now()));
    }

    private void Watch()
    {
        if (IsCorrupted && _active.All(process => process == _sick || _stopped.Contains(process) || _doubted.Contains(process) || _alive[process].HasLearnedFrom(_sick))) WasAlone = true;
    }

    private void Vanish(int process)
    {
        _alive.Remove(process);
        _active.Remove(process);
        _stopped.Remove(process);
    }
}
