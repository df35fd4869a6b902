namespace Aisle.Ledger;

/// <summary>What a watch brings.</summary>
public abstract record LedgerWatchEvent;

/// <summary>All that changed after the revision before and up to <paramref name="Revision"/>, in order.</summary>
public sealed record WatchedChanges(long Revision, IReadOnlyList<LedgerChange> Changes) : LedgerWatchEvent;

/// <summary>The revision that was asked for is older than the history: begin with this state. What comes next happened after it.</summary>
/// <param name="Oldest">The oldest revision from which a watch could have begun.</param>
public sealed record WatchedSnapshot(long Oldest, LedgerState State) : LedgerWatchEvent;

/// <summary>The last event: the watcher was too slow for the history. All up to <paramref name="Revision"/> was brought; watch from there again.</summary>
public sealed record WatchCutOff(long Revision) : LedgerWatchEvent;

/// <summary>The newest changes, shared by all watchers: a slow one costs nothing but its own place. Safe to call from many threads.</summary>
/// <param name="capacity">Changes that are kept.</param>
/// <param name="revision">Where the history begins.</param>
internal sealed class ChangeHistory(int capacity, long revision)
{
    private readonly Lock _gate = new();
    private readonly LedgerChange[] _changes = new LedgerChange[capacity];
    private long _first, _count;          // of all changes ever: the oldest kept, and one past the newest
    private long _revision = revision;

    /// <summary>Everything that changed after this revision is here.</summary>
    public long Oldest
    {
        get { lock (_gate) return field; }
        private set;
    } = revision;

    /// <summary>Adds the changes of the revisions up to <paramref name="through"/>, in order.</summary>
    public void Add(IReadOnlyList<LedgerChange> changes, long through)
    {
        lock (_gate)
        {
            foreach (var change in changes)
            {
                if (_count - _first == capacity) Oldest = _changes[_first++ % capacity].Revision;
                _changes[_count++ % capacity] = change;
            }
            _revision = through;
        }
    }

    /// <summary>What changed after <paramref name="revision"/>: about <paramref name="most"/> changes, the last revision whole. Null when the history does not
    /// reach back so far.</summary>
    public WatchedChanges? Since(long revision, int most)
    {
        lock (_gate)
        {
            if (revision < Oldest) return null;
            var (low, high) = (_first, _count);
            while (low < high)
            {
                var middle = (low + high) / 2;
                if (_changes[middle % capacity].Revision > revision) high = middle;
                else low = middle + 1;
            }
            var changes = new List<LedgerChange>();
            for (; low < _count; low++)
            {
                var change = _changes[low % capacity];
                if (changes.Count >= most && change.Revision != changes[^1].Revision) return new WatchedChanges(changes[^1].Revision, changes);
                changes.Add(change);
            }
            return new WatchedChanges(Math.Max(revision, _revision), changes);
        }
    }
}
