namespace Aisle.Ledger.Consensus;

internal sealed partial class Raft
{
    private LogPosition _snapshot;                  // the newest of its own
    private SnapshotChunk? _arriving;               // the last chunk that was stored
    private SnapshotChunk? _installing;             // all of it is here; the shell is at work

    /// <summary>The members as of the snapshot that <see cref="Ready.Install"/> asked for: kept with it.</summary>
    public Membership ArrivingMembers => _installing?.Membership ?? Membership.None;

    private long StoredThrough => _arriving is { } chunk ? chunk.Offset + chunk.Data.Length : 0;

    private void Note(SnapshotMade made)
    {
        if (made.Position.Index > _applied || made.CompactThrough > made.Position.Index || !_log.Has(made.Position)) return;   // overtaken by an installed one
        if (made.Position.Index > _snapshot.Index) _snapshot = made.Position;
        _log.CompactThrough(made.CompactThrough);
        ForgetMembersBefore(_log.Base.Index);
    }

    // A leader's side.

    private void SendSnapshot(MemberId member, Progress peer)
    {
        peer.SendSnapshot(_snapshot, MembersAt(_snapshot.Index), _now);
        WantChunk(member, peer, 0);
    }

    private void WantChunk(MemberId member, Progress peer, long offset)
    {
        // Rule 19: each chunk has its own deadline, and follows what the receiver says that it has.
        peer.ChunkSent(offset, _now);
        _chunks.Add(new ChunkWanted(member, Term, peer.Session, peer.Snapshot, peer.SnapshotMembers, offset));
    }

    private void Note(SnapshotGone gone)
    {
        if (PeerOf(gone.To) is { Flow: Flow.Snapshot } peer && peer.Snapshot != _snapshot) SendSnapshot(gone.To, peer);
    }

    private void TakeIn(SnapshotReply reply)
    {
        if (Role != Role.Leader || PeerOf(reply.From) is not { Flow: Flow.Snapshot } peer || peer.Session != reply.Session || peer.Snapshot != reply.Position) return;
        peer.HeardAt = _now;
        if (reply.Installing) peer.ChunkSent(reply.Offset, _now);   // Rule 19: takes as long as it takes; asked about now and then
        else if (reply.Offset > peer.Offset || reply.Offset == 0) WantChunk(reply.From, peer, reply.Offset);   // 0: it has lost what it had
    }

    // A follower's side.

    private void TakeIn(SnapshotChunk chunk)
    {
        if (chunk.Position.Index <= Commit || _log.Has(chunk.Position))
        {
            // It is not needed: what a leader has in a snapshot is committed, and the log has it.
            Prove(chunk.Position.Index);
            CommitThrough(chunk.Position.Index);
            SendWhenDurable(Arrived(chunk));
            return;
        }
        if (_arriving is { } newer && newer.Term == chunk.Term && newer.Position.Index > chunk.Position.Index) return;   // a late one
        var continues = _arriving is { } last && last.From == chunk.From && last.Term == chunk.Term && last.Position == chunk.Position && last.Total == chunk.Total;
        if (_installing is null)
        {
            if (chunk.Offset == (continues ? StoredThrough : 0))
            {
                _arriving = chunk;
                continues = true;
                _store.Add(chunk);
                if (StoredThrough == chunk.Total)
                {
                    _installing = chunk;
                    _install = chunk.Position;
                }
            }
        }
        else if (_installing.Position != chunk.Position) return;   // one at a time; the leader asks again
        Send(new SnapshotReply(Self, chunk.From, Term, chunk.Session, chunk.Position, continues ? StoredThrough : 0, _installing is not null));
    }

    private void Note(SnapshotInstalled installed)
    {
        if (_installing is not { } chunk || chunk.Position != installed.Position) return;
        (_installing, _arriving) = (null, null);
        if (!installed.Good) return;   // the leader asks, hears of offset 0 and begins anew
        // Rule 21: the own entries after it stay only if the log agrees with it. Its members replace what is known from before.
        if (_log.Has(chunk.Position) || (!_rules.ChecksSuffixOfSnapshot && _log.Last.Index >= chunk.Position.Index))
        {
            _log.CompactThrough(chunk.Position.Index);
            _members.RemoveAll(change => change.Index <= chunk.Position.Index);
            _members.Insert(0, (chunk.Position.Index, chunk.Membership));
            _newBase = chunk.Position;
            _unwritten.RemoveAll(entry => entry.Index <= chunk.Position.Index);
            _issued = Math.Max(_issued, chunk.Position.Index);
            _durable = Math.Max(_durable, chunk.Position.Index);
        }
        else Restart(chunk.Position, chunk.Membership);
        _snapshot = chunk.Position;
        CommitThrough(chunk.Position.Index);
        _applied = _handedOut = chunk.Position.Index;
        if (chunk.Term != Term) return;
        Prove(chunk.Position.Index);
        SendWhenDurable(Arrived(chunk));   // Rule 20: acknowledged when installed
    }

    private AppendReply Arrived(SnapshotChunk chunk) => new(Self, chunk.From, Term, chunk.Session, 0, Accepted: true, chunk.Position.Index, default);
}
