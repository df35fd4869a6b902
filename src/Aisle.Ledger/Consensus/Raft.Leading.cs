namespace Aisle.Ledger.Consensus;

// A leader's side of replication.
internal sealed partial class Raft
{
    private readonly SortedDictionary<MemberId, Progress> _peers = new(Comparer<MemberId>.Create((a, b) => a.Value.CompareTo(b.Value)));
    private readonly Queue<(long Id, LogPosition Position, int Bytes)> _proposals = [];
    private long _uncommittedBytes;
    private long _session;
    private long _firstOfTerm;
    private long _roundAt;   // when the next heartbeat is due

    private void Lead()
    {
        // Rule 3: a leader that no majority answers has been replaced or cannot commit; its clients should look elsewhere. No disk is asked (Rule 6).
        if (_now - ReachedBy(static peer => peer.HeardAt, _now) > _pace.ElectionMinimum)
        {
            Follow(Term, MemberId.Nobody);
            return;
        }
        EndTransferInTime();
        foreach (var (member, peer) in _peers)
        {
            if (!peer.IsOverdue(_now)) continue;
            if (peer.Flow == Flow.Snapshot) WantChunk(member, peer, peer.Offset);
            else if (peer.Flow == Flow.Probe) peer.Retry();
            else peer.Probe(peer.Match + 1);
        }
        if (_now >= _roundAt) BeginRound();
    }

    /// <summary>What a majority of the voters has reached, by <paramref name="of"/> for peers and <paramref name="own"/> for this member.</summary>
    private long ReachedBy(Func<Progress, long> of, long own, ReachedByMajority? rule = null)
    {
        var voters = Members.Voters;
        Span<long> values = stackalloc long[Membership.MaxMembers];
        for (var i = 0; i < voters.Length; i++)
        {
            values[i] = voters[i] == Self ? own : PeerOf(voters[i]) is { } peer ? of(peer) : 0;
        }
        return (rule ?? Quorum.Reached)(values[..voters.Length]);
    }

    private void Take(Propose propose)
    {
        if (Role != Role.Leader) Answer(propose.Id, Verdict.NotLeader);
        // Rule 30: "busy" is not "no leader". Rule 5: nothing new while leadership is handed over.
        else if (_transferTo != MemberId.Nobody || _uncommittedBytes > _settings.MaxUncommittedBytes) Answer(propose.Id, Verdict.Busy);
        else Propose(propose.Id, EntryKind.Commands, propose.Payload);
    }

    private void Propose(long id, EntryKind kind, ReadOnlyMemory<byte> payload)
    {
        _proposals.Enqueue((id, AppendOwn(kind, payload), payload.Length));
        _uncommittedBytes += payload.Length;
    }

    private LogPosition AppendOwn(EntryKind kind, ReadOnlyMemory<byte> payload)
    {
        var entry = new Entry(Term, _log.Last.Index + 1, kind, payload);
        Write(entry);
        _proven = entry.Index;
        return entry.Position;
    }

    private void Replicate()
    {
        foreach (var (member, peer) in _peers)
        {
            while (peer.MaySend && (peer.Next <= _log.Last.Index || peer.Flow == Flow.Probe))
            {
                if (peer.Next <= _log.Base.Index)
                {
                    SendSnapshot(member, peer);   // Rule 22
                    break;
                }
                SendEntries(member, peer);
            }
            if (Math.Min(Commit, peer.Match) > peer.Told) SendHeartbeat(member, peer);   // so that it can apply now
        }
    }

    private void SendEntries(MemberId member, Progress peer)
    {
        var previous = new LogPosition(_log.TermAt(peer.Next - 1), peer.Next - 1);
        var entries = _log.Slice(peer.Next, _log.Last.Index, _settings.MaxMessageBytes);
        var append = new Append(Self, member, Term, peer.Session, _round, previous, entries, Commit);
        var bytes = 0;
        foreach (var entry in entries) bytes += entry.Payload.Length;
        peer.Sent(append.Proven, bytes, _now);
        peer.ToldOf(Commit, append.Proven);
        Send(append);   // Rule 14: before the own disk has it
    }

    private void SendHeartbeat(MemberId member, Progress peer)
    {
        // Rule 11: from what the follower has said that it has, so that the answer is a refusal only if something is wrong.
        var term = _log.TermAt(peer.Match);
        Send(new Append(Self, member, Term, peer.Session, _round, term < 0 ? default : new LogPosition(term, peer.Match), [], Commit));
        peer.ToldOf(Commit, peer.Match);
    }

    private void TakeIn(AppendReply reply)
    {
        // Rule 11: of this term, of this session, and possible.
        if (Role != Role.Leader || PeerOf(reply.From) is not { } peer || peer.Session != reply.Session || reply.Index > _log.Last.Index) return;
        peer.HeardAt = _now;
        peer.Round = Math.Max(peer.Round, reply.Round);
        if (reply.Accepted)
        {
            peer.Accept(reply.Index, _log.Base, _now);
            CommitByMajority();
        }
        else if (peer.Flow != Flow.Snapshot && (peer.Flow == Flow.Probe ? reply.Index == peer.Next - 1 || reply.Index == peer.Match : reply.Index >= peer.Match))
        {
            // Rule 9: the hint moves what is sent next, and nothing else. Rule 12: one answer skips all entries of a term.
            var from = Math.Min(_log.LastPossible(reply.Hint).Index, reply.Index) + 1;
            peer.Probe(reply.Index > peer.Match ? Math.Max(from, peer.Match + 1) : from);
        }
        if (Role != Role.Leader) return;   // it may have committed its own removal
        ConfirmReads();
        HandOver();
    }

    private void CommitByMajority()
    {
        // Rule 14: the own log counts as far as the own disk has it, with others and alone.
        var index = ReachedBy(static peer => peer.Match, _durable, _rules.MatchOfMajority);
        if (index <= Commit) return;
        // Rule 8: an older entry on a majority can still be replaced; one of this term, and all before it, cannot.
        if (_rules.CountsOnlyOwnTerm && _log.TermAt(index) != Term) return;
        CommitThrough(index);
        while (_proposals.TryPeek(out var first) && first.Position.Index <= index)
        {
            _proposals.Dequeue();
            _uncommittedBytes -= first.Bytes;
            Answer(first.Id, Verdict.Done, first.Position);
        }
        LetRemovedGo();
    }

    private void CommitThrough(long index) => Commit = Math.Max(Commit, index);
}
