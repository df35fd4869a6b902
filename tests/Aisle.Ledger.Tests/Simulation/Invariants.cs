using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Simulation;

/// <summary>What must hold at every moment, whatever goes wrong. It sees all members and all disks at once, and remembers everything that was ever agreed.</summary>
internal sealed class Invariants(IReadOnlyList<SimulatedMember> members)
{
    private readonly Dictionary<long, MemberId> _leaders = [];
    private readonly Dictionary<(MemberId Voter, long Term), MemberId> _votes = [];
    private readonly Dictionary<LogPosition, (long PreviousTerm, ReadOnlyMemory<byte> Payload)> _entries = [];
    private readonly List<long> _committed = [0];      // term of every committed entry, by index
    private readonly List<long> _committedIn = [0];    // the term whose leader committed it
    private readonly List<ulong> _digests = [0];       // state after every committed entry, by index
    private long _newestAnswered;

    public long Committed => _committed.Count - 1;

    /// <summary>After every step of a member.</summary>
    public void Check(SimulatedMember member)
    {
        var raft = member.Raft!;
        var seen = member.Seen;
        if (raft.Term < seen.Term || raft.Commit < seen.Commit) throw Broken($"{raft.Self} falls back from {seen} to term {raft.Term}, commit {raft.Commit}");
        if (!(raft.LogBase.Index <= member.State.Applied && member.State.Applied <= raft.Commit && raft.Commit <= raft.Last.Index))
        {
            throw Broken($"{raft.Self}: base {raft.LogBase.Index}, applied {member.State.Applied}, commit {raft.Commit}, last {raft.Last.Index} are out of order");
        }
        if (raft.Role == Role.Leader && (seen.Role != Role.Leader || seen.Term != raft.Term)) CheckNewLeader(raft);
        if (raft.Commit > seen.Commit) CheckCommit(raft, seen.Commit);
        CheckMatches(member, raft);
        member.Seen = new Seen(raft.Term, raft.Role, raft.Commit);
    }

    /// <summary>Every entry on its way to a disk: equal position, equal entry, and equal entry before it. So logs that agree at one place agree up to there.</summary>
    public void Written(Raft raft, Entry entry)
    {
        var previous = raft.TermAt(entry.Index - 1);
        if (!_entries.TryAdd(entry.Position, (previous, entry.Payload)))
        {
            var (term, payload) = _entries[entry.Position];
            if (previous >= 0 && term >= 0 && previous != term) throw Broken($"two logs have {entry.Position} and differ before it: {term} and {previous}");
            if (!payload.Span.SequenceEqual(entry.Payload.Span)) throw Broken($"two entries stand at {entry.Position}");
        }
    }

    /// <summary>Promises leave only when their ground is on the disk.</summary>
    public void Sent(SimulatedMember from, Message message)
    {
        switch (message)
        {
            case AppendReply { Accepted: true } reply when reply.Index > from.Disk.LastIndex && reply.Index > from.Disk.Snapshot.Position.Index:
                throw Broken($"{from.Id} acknowledges {reply.Index}; its disk ends at {from.Disk.LastIndex}");
            case VoteReply { PreVote: false, Granted: true } vote:
                CastVote(vote.From, vote.Term, vote.To);
                break;
            case VoteRequest { Ballot: not Ballot.PreVote } ask:
                CastVote(ask.From, ask.Term, ask.From);
                break;
        }
    }

    public void AppliedBy(SimulatedMember member)
    {
        var (index, digest) = (member.State.Applied, member.State.Digest);
        if (index == _digests.Count) _digests.Add(digest);
        else if (index > _digests.Count) throw Broken($"{member.Id} applied {index}, and nobody {_digests.Count}");
        else if (_digests[(int)index] != digest) throw Broken($"{member.Id} has another state after entry {index}");
    }

    /// <summary>Of the newest answer so far: whatever is asked from now on must not see less.</summary>
    public long NewestAnswered => _newestAnswered;

    /// <summary>A client got an answer as of <paramref name="index"/>, to something asked when <paramref name="floor"/> was the newest that anybody had been told of.
    /// All answers are then in one order that agrees with real time: the log's. With equal states after equal indexes, that is linearizability.</summary>
    public void Answered(long index, long floor, bool write)
    {
        if (index < floor || write && index == floor) throw Broken($"a {(write ? "write" : "read")} sees {index}, and {floor} had been answered before it was asked");
        _newestAnswered = Math.Max(_newestAnswered, index);
    }

    private void CheckNewLeader(Raft raft)
    {
        if (!_leaders.TryAdd(raft.Term, raft.Self) && _leaders[raft.Term] != raft.Self) throw Broken($"{_leaders[raft.Term]} and {raft.Self} lead in term {raft.Term}");
        for (var index = Math.Max(1, raft.LogBase.Index); index <= Committed; index++)
        {
            if (_committedIn[(int)index] < raft.Term && raft.TermAt(index) != _committed[(int)index]) throw Broken($"{raft.Self} leads in term {raft.Term} without committed entry {index}");
        }
    }

    private void CheckCommit(Raft raft, long before)
    {
        for (var index = before + 1; index <= raft.Commit; index++)
        {
            var term = raft.TermAt(index);
            if (term < 0) continue;   // came in a snapshot: its digest is checked
            if (index == _committed.Count)
            {
                _committed.Add(term);
                _committedIn.Add(raft.Term);   // the leader itself is the first to know
                CheckLeadersHave(index, term, raft.Term);
            }
            else if (index < _committed.Count && _committed[(int)index] != term) throw Broken($"entry {index} was committed with term {_committed[(int)index]}, and is with {term} by {raft.Self}");
        }
        if (raft.Role != Role.Leader) return;
        var position = new LogPosition(raft.TermAt(raft.Commit), raft.Commit);
        if (position.Term != raft.Term) throw Broken($"{raft.Self} leads in term {raft.Term} and commits {position} by counting");
        var voters = raft.ActiveMembers.Voters;
        var holders = members.Count(member => voters.Contains(member.Id) && member.Disk.Has(position));
        if (holders < Quorum.Of(voters.Length)) throw Broken($"{raft.Self} commits {position}, which is on {holders} of {voters.Length} disks");
    }

    /// <summary>What a member counts on, of itself and of others, is on the disk it is said to be on.</summary>
    private void CheckMatches(SimulatedMember member, Raft raft)
    {
        if (!IsOn(member, raft, raft.Durable)) throw Broken($"{raft.Self} takes entry {raft.Durable} to be on its disk, which ends at {member.Disk.LastIndex}");
        if (raft.Role != Role.Leader) return;
        foreach (var peer in members)
        {
            // A member that has gone on to a later term may have cut off what it had.
            if (raft.PeerOf(peer.Id) is not { } progress || Math.Max(peer.Disk.State.Term, peer.Raft?.Term ?? 0) > raft.Term) continue;
            if (!IsOn(peer, raft, progress.Match)) throw Broken($"{raft.Self} takes entry {progress.Match} to be on the disk of {peer.Id}, which ends at {peer.Disk.LastIndex}");
        }
    }

    private static bool IsOn(SimulatedMember member, Raft raft, long index) => raft.TermAt(index) is var term && (term < 0 || member.Disk.Has(new LogPosition(term, index)));

    private void CheckLeadersHave(long index, long term, long inTerm)
    {
        foreach (var member in members)
        {
            if (member.Raft is { Role: Role.Leader } leader && leader.Term > inTerm && index > leader.LogBase.Index && leader.TermAt(index) != term)
            {
                throw Broken($"entry {index} of term {term} commits, and {leader.Self} leads in term {leader.Term} without it");
            }
        }
    }

    private void CastVote(MemberId voter, long term, MemberId candidate)
    {
        if (!_votes.TryAdd((voter, term), candidate) && _votes[(voter, term)] != candidate) throw Broken($"{voter} votes for {_votes[(voter, term)]} and for {candidate} in term {term}");
    }

    private static BrokenPromiseException Broken(string what) => new(what);
}

/// <summary>Of a member, after its last step.</summary>
internal readonly record struct Seen(long Term, Role Role, long Commit);
