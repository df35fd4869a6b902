using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Aisle.Ledger.Consensus;

// What waits to be taken. Steps between two takes share one write, one flush and one message a peer.
internal sealed partial class Raft
{
    private List<Message> _send = [];
    private List<Message> _release = [];
    private List<Entry> _unwritten = [];
    private List<SnapshotChunk> _store = [];
    private List<ChunkWanted> _chunks = [];
    private List<Answer> _answers = [];
    private HardState? _unsaved;
    private LogPosition? _newBase;
    private LogPosition? _install;
    private long _truncateFrom;
    private long _issued;   // last entry that was ever handed over for writing and not truncated since
    private long _proven;   // in this term the log is right up to here: what a completion of the next write attests

    /// <summary>What there is to do since the last time.</summary>
    public bool TryTake([NotNullWhen(true)] out Ready? ready)
    {
        if (Role == Role.Leader)
        {
            if (_asked.Count > 0 && CanReadNow) BeginRound();
            Replicate();
        }
        var apply = TakeApply();
        ready = null;
        var persist = TakePersist();
        if (persist is null && apply.IsEmpty && _send.Count + _store.Count + _chunks.Count + _answers.Count == 0 && _install is null) return false;
        ready = new Ready
        {
            Send = Taken(ref _send),
            Persist = persist,
            Apply = apply,
            Store = Taken(ref _store),
            Install = _install,
            Chunks = Taken(ref _chunks),
            Answers = Taken(ref _answers),
        };
        _install = null;
        return true;
    }

    private Persist? TakePersist()
    {
        if (_unsaved is null && _newBase is null && _truncateFrom == 0 && _unwritten.Count == 0 && _release.Count == 0) return null;
        if (_unwritten.Count > 0) _issued = _unwritten[^1].Index;
        var persist = new Persist(_unsaved, _newBase, _truncateFrom, Taken(ref _unwritten), Taken(ref _release), new LogPosition(Term, _proven));
        (_unsaved, _newBase, _truncateFrom) = (null, null, 0);
        return persist;
    }

    // Only one part is out at a time, so a slow state machine holds back no more than that much of memory.
    private ImmutableArray<Entry> TakeApply()
    {
        if (_handedOut == Commit || _applied < _handedOut || _installing is not null) return [];
        var entries = _log.Slice(_handedOut + 1, Commit, _settings.MaxMessageBytes);
        _handedOut = entries[^1].Index;
        return entries;
    }

    private static IReadOnlyList<T> Taken<T>(ref List<T> list)
    {
        if (list.Count == 0) return [];
        var taken = list;
        list = [];
        return taken;
    }

    private void Send(Message message) => _send.Add(message);

    // Rule 13: votes, requests for votes and acknowledgements leave when all that they depend on is on the disk.
    private void SendWhenDurable(Message message) => _release.Add(message);

    private void Save(HardState state)
    {
        if (state.Term > _hard.Term)
        {
            _release.Clear();   // promises of an older term, about entries that may never be written now
            _proven = 0;
        }
        _hard = state;
        _unsaved = state;
    }

    private void Remember(Entry entry)
    {
        _log.Append(entry);
        if (entry.Kind == EntryKind.Membership) _members.Add((entry.Index, Membership.Read(entry.Payload)));   // Rule 24: from the moment it is in the log
    }

    private void Write(Entry entry)
    {
        Remember(entry);
        _unwritten.Add(entry);
    }

    private void Truncate(long from)
    {
        _log.TruncateFrom(from);
        _members.RemoveAll(change => change.Index >= from);   // Rule 24
        _unwritten.RemoveAll(entry => entry.Index >= from);
        if (from <= _issued)
        {
            _truncateFrom = _truncateFrom == 0 ? from : Math.Min(_truncateFrom, from);
            _issued = from - 1;
        }
        _durable = Math.Min(_durable, from - 1);
    }

    /// <summary>The log begins anew after <paramref name="snapshot"/>.</summary>
    private void Restart(LogPosition snapshot, Membership members)
    {
        _log.Reset(snapshot);
        _members.Clear();
        _members.Add((snapshot.Index, members));
        _unwritten.Clear();
        _newBase = snapshot;
        _truncateFrom = snapshot.Index + 1;
        _issued = snapshot.Index;
        _durable = snapshot.Index;   // a snapshot is on the disk before the core hears of it
    }
}
