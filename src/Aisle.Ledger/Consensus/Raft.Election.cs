namespace Aisle.Ledger.Consensus;

internal sealed partial class Raft
{
    private readonly HashSet<MemberId> _votes = [];
    private long _attempt;         // number of this member's newest election or pre-election
    private long _electionAt;
    private long _heardLeaderAt;   // a leader spoke, or this process started

    // Rule 3: whoever heard a leader just now takes no part in replacing it.
    private bool HasLeader => Role == Role.Leader || _now - _heardLeaderAt < _settings.ElectionMinimum;

    // A member whose removal has not committed may be the only one that can finish it: the others may lack the entry. Its own vote does not count (Ongaro 4.2.2).
    private bool MayStand
    {
        get
        {
            for (var i = _members.Count - 1; i >= 0; i--)
            {
                if (_members[i].Members.Votes(Self)) return true;
                if (_members[i].Index <= Commit) return false;
            }
            return false;
        }
    }

    private void WaitForElection() => _electionAt = _now + _pace.ElectionMinimum + _pace.Spread(Self, Term, _attempt);

    private void StandForElection()
    {
        if (!MayStand || IsRemoved) WaitForElection();
        else Campaign(Ballot.PreVote);
    }

    private void Campaign(Ballot ballot)
    {
        Follow(Term, MemberId.Nobody);
        _attempt++;   // Rule 2: answers to an earlier attempt end nowhere
        var preVote = ballot == Ballot.PreVote;
        Role = preVote ? Role.PreCandidate : Role.Candidate;
        if (!preVote) Save(new HardState(Term + 1, Self));
        WaitForElection();
        foreach (var voter in Members.Voters)
        {
            if (voter == Self) continue;
            var ask = new VoteRequest(Self, voter, preVote ? Term + 1 : Term, _attempt, _log.Last, ballot);
            if (preVote) Send(ask);
            else SendWhenDurable(ask);
        }
        // The own pre-vote promises nothing. The own vote counts when it is on the disk, see Note.
        if (preVote) Count(Self);
    }

    private void Consider(VoteRequest ask)
    {
        // Rule 4: nothing depends on being a voter here: who asks may know members that this one has not heard of, itself among them.
        // Higher last term first, then the longer log.
        var upToDate = ask.Last.Term != _log.Last.Term ? ask.Last.Term > _log.Last.Term : ask.Last.Index >= _log.Last.Index;
        var removed = CommittedMembers.Removed(ask.From);   // Rule 25
        if (ask.Ballot == Ballot.PreVote)
        {
            // Rule 1: no term, no vote, no timer changes.
            Send(new VoteReply(Self, ask.From, Term, ask.Round, PreVote: true, ask.Term > Term && upToDate && !removed && !HasLeader, removed));
            return;
        }
        if (ask.Term < Term || (ask.Ballot != Ballot.Transfer && HasLeader))
        {
            Send(new VoteReply(Self, ask.From, Term, ask.Round, PreVote: false, Granted: false, removed));
            return;
        }
        if (ask.Term > Term) Follow(ask.Term, MemberId.Nobody);
        var granted = Role == Role.Follower && upToDate && !removed && (_hard.Vote == MemberId.Nobody || _hard.Vote == ask.From);
        if (granted)
        {
            if (_hard.Vote != ask.From) Save(_hard with { Vote = ask.From });
            WaitForElection();
        }
        SendWhenDurable(new VoteReply(Self, ask.From, Term, ask.Round, PreVote: false, granted, removed));
    }

    private void Tally(VoteReply reply)
    {
        if (!reply.Granted && reply.Term > Term)
        {
            Follow(reply.Term, MemberId.Nobody);   // Rule 1: otherwise two members with different terms could refuse each other for ever
            return;
        }
        if (Role != (reply.PreVote ? Role.PreCandidate : Role.Candidate) || reply.Round != _attempt || (!reply.PreVote && reply.Term != Term)) return;   // Rule 2
        if (reply.Removed) IsRemoved = true;
        else if (reply.Granted) Count(reply.From);
    }

    private void Count(MemberId vote)
    {
        _votes.Add(vote);
        if (Members.Voters.Count(_votes.Contains) < Quorum.Of(Members.Voters.Length)) return;   // Rule 4: only voters count
        if (Role == Role.PreCandidate) Campaign(Ballot.Vote);
        else BecomeLeader();
    }

    private void Follow(long term, MemberId leader)
    {
        if (Role == Role.Leader) GiveUpLeading();
        if (term > Term) Save(new HardState(term, MemberId.Nobody));   // Rule 2: a vote goes only with its term
        Role = Role.Follower;
        Leader = leader;
        _votes.Clear();
        WaitForElection();
    }

    private void BecomeLeader()
    {
        Role = Role.Leader;
        Leader = Self;
        _votes.Clear();
        _handedOver = false;
        UpdatePeers();
        _firstOfTerm = _log.Last.Index + 1;
        AppendOwn(EntryKind.Blank, default);   // Rule 8: with it everything before commits
        BeginRound();
    }

    private void GiveUpLeading()
    {
        _peers.Clear();
        _transferTo = MemberId.Nobody;
        foreach (var waiting in _proposals) Answer(waiting.Id, Verdict.Unknown, waiting.Position);   // Rule 28
        _proposals.Clear();
        _uncommittedBytes = 0;
        DropReads();
    }

    private void Answer(long id, Verdict verdict, LogPosition position = default) =>
        _answers.Add(new Answer(id, verdict, position, verdict == Verdict.Unknown ? MemberId.Nobody : Leader));
}
