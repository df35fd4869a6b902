using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>The numbers of one unit, kept until no member can lack them.</summary>
/// <param name="Form"><see cref="NumberForm.Float32"/> for the values of a single slice, <see cref="NumberForm.Fixed64"/> for a sum of rounded ones.</param>
internal readonly record struct UnitSum(SliceSet Slices, SharedBuffer Numbers, NumberForm Form, ShardNote Note);

/// <summary>Part of a shard's sum that is read when the shard is reduced, from where it lies: this worker's own numbers, or a peer's in its arena.</summary>
internal readonly record struct ShardSource(SliceSet Slices, NumberForm Form, nint At, ShardNote Note, PeerArena? Arena, NumbersPlace Place)
{
    /// <summary>Whether the numbers are what the sender meant; own ones always are.</summary>
    public bool IsStill => Arena is null || Arena.IsStill(Place.Place, Place.Generation);
}

/// <summary>
/// What a step keeps while it lasts, used again for a later one. Guarded by the exchange's lock; whoever works on its numbers outside the lock is counted in
/// <see cref="Users"/>, and only when the last has left are the buffers given back.
/// </summary>
internal sealed class StepBuffers
{
    private readonly List<(int Id, UnitSum Sum)> _units = [];

    public StepBuffers(int shards) => Shards = [.. Enumerable.Range(0, shards).Select(_ => new ShardBuffers())];

    public long Step { get; private set; }

    public int Users { get; set; }

    public ShardBuffers[] Shards { get; }

    /// <summary>The mean gradient, shard by shard as it comes.</summary>
    public SharedBuffer<float>? Reduced { get; set; }

    public void Become(long step) => (Step, Users) = (step, 1);

    public void Add(int id, UnitSum sum) => _units.Add((id, sum));

    public UnitSum UnitOf(int id)
    {
        foreach (var (known, sum) in _units)
        {
            if (known == id) return sum;
        }
        throw new ArgumentOutOfRangeException(nameof(id), id, $"No unit of step {Step} has been computed under this number.");
    }

    /// <summary>Sets what is said of the unit's numbers from now on.</summary>
    /// <returns>False when there is no such unit here.</returns>
    public bool TryNote(int id, ShardNote note)
    {
        for (var i = 0; i < _units.Count; i++)
        {
            if (_units[i].Id != id) continue;
            _units[i] = (id, _units[i].Sum with { Note = note });
            return true;
        }
        return false;
    }

    /// <summary>Gives back what was computed here. The step's means are made, or come from others.</summary>
    public void ForgetUnits()
    {
        foreach (var (_, sum) in _units) sum.Numbers.Release();
        _units.Clear();
    }

    /// <summary>Gives everything back; nobody may use it any more.</summary>
    public void Forget()
    {
        ForgetUnits();
        foreach (var shard in Shards) shard.Forget();
        Reduced?.Release();
        Reduced = null;
    }
}

/// <summary>What one shard's sum is made of. Guarded by the exchange's lock but for <see cref="Accumulated"/>, which its own lock guards.</summary>
internal sealed class ShardBuffers
{
    /// <summary>Read when the shard is reduced, in one pass.</summary>
    public List<ShardSource> Sources { get; } = [];

    /// <summary>Sum of what came as bytes and could not stay where it came; null while there is none. Guarded by <see cref="Accumulating"/>.</summary>
    public SharedBuffer<long>? Accumulated { get; set; }

    public Lock Accumulating { get; } = new();

    public ShardNote AccumulatedNote { get; set; }

    /// <summary>Contributions that are being added to <see cref="Accumulated"/> right now.</summary>
    public int Pending { get; set; }

    /// <summary>All is there or pending: whoever adds the last pending one reduces.</summary>
    public bool ReduceDue { get; set; }

    /// <summary>Somebody is writing the mean.</summary>
    public bool IsBusy { get; set; }

    /// <summary>Of the mean, once it is here.</summary>
    public ShardNote Note { get; set; }

    public void ForgetSources()
    {
        foreach (var source in Sources) source.Arena?.Release();
        Sources.Clear();
        Accumulated?.Release();
        (Accumulated, AccumulatedNote) = (null, default);
    }

    public void Forget()
    {
        ForgetSources();
        (Pending, ReduceDue, IsBusy, Note) = (0, false, false, default);
    }
}
