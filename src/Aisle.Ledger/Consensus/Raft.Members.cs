using System.Collections.Immutable;

namespace Aisle.Ledger.Consensus;

internal sealed partial class Raft
{
    // Rising; the first is of the snapshot or older. Changes that a truncation undoes leave the end.
    private readonly List<(long Index, Membership Members)> _members = [];

    /// <summary>Rule 24: those of the newest membership entry in the log, committed or not.</summary>
    public Membership ActiveMembers => _members[^1].Members;

    private Membership Members => ActiveMembers;

    private Membership CommittedMembers => MembersAt(Commit);

    /// <summary>Who was a member after entry <paramref name="index"/>: goes into a snapshot made there.</summary>
    public Membership MembersAt(long index)
    {
        for (var i = _members.Count - 1; i > 0; i--)
        {
            if (_members[i].Index <= index) return _members[i].Members;
        }
        return _members[0].Members;
    }

    private void Take(ChangeMembers change)
    {
        if (Refuses(change) is { } refused)
        {
            Answer(change.Id, refused);
            return;
        }
        Propose(change.Id, EntryKind.Membership, After(change).ToBytes());
        UpdatePeers();
        CommitByMajority();   // a smaller majority may have been reached already
    }

    private Verdict? Refuses(ChangeMembers change)
    {
        if (Role != Role.Leader) return Verdict.NotLeader;
        if (_transferTo != MemberId.Nobody) return Verdict.Busy;
        // Rule 23: the change before it has committed, and so has an entry of this term: otherwise two leaders could change different members at once.
        if (_rules.ChangesOneAtATime && (_members[^1].Index > Commit || !KnowsCommit)) return Verdict.ChangeTooEarly;
        var fits = change.Change switch
        {
            MemberChange.AddLearner => change.Member.Value > Members.Newest && Members.Voters.Length + Members.Learners.Length < Membership.MaxMembers,   // Rule 25
            MemberChange.Promote => Members.Learners.Contains(change.Member),
            _ => Members.Has(change.Member) && !(Members.Votes(change.Member) && Members.Voters.Length == 1),
        };
        if (!fits) return Verdict.UnfitMember;
        if (change.Change == MemberChange.Promote && !(PeerOf(change.Member) is { } peer && peer.Match + _settings.PromotionLag >= _log.Last.Index)) return Verdict.NotCaughtUp;
        // Rule 25: the members after the change must be able to commit it.
        var live = After(change).Voters.Count(voter => voter == Self || PeerOf(voter) is { } heard && _now - heard.HeardAt <= _pace.ElectionMinimum);
        return live < Quorum.Of(After(change).Voters.Length) ? Verdict.NoLiveMajority : null;
    }

    private Membership After(ChangeMembers change) => change.Change switch
    {
        MemberChange.AddLearner => Members.AddLearner(change.Member),
        MemberChange.Promote => Members.Promote(change.Member),
        _ => Members.Remove(change.Member),
    };

    // Removed peers stay until that has committed: see LetRemovedGo.
    private void UpdatePeers()
    {
        foreach (var member in Members.Everybody)
        {
            if (member != Self && !_peers.ContainsKey(member)) _peers.Add(member, new Progress(_settings, ++_session, _log.Last.Index + 1, _now));
        }
    }

    // Rule 25: they are told, and a leader that is removed itself goes last.
    private void LetRemovedGo()
    {
        if (_members[^1].Index > Commit || _peers.Count == Members.Voters.Length + Members.Learners.Length - 1) return;
        foreach (var member in _peers.Keys.Where(member => !Members.Has(member)).ToImmutableArray())
        {
            SendHeartbeat(member, _peers[member]);
            _peers.Remove(member);
        }
        if (Members.Votes(Self)) return;
        Replicate();
        if (_peers.Where(peer => Members.Votes(peer.Key)).MaxBy(peer => peer.Value.Match) is { Value: { } } next && next.Value.Match == _log.Last.Index)
        {
            Send(new TakeOver(Self, next.Key, Term, _log.Last));
        }
        Follow(Term, MemberId.Nobody);
    }

    private void ForgetMembersBefore(long index)
    {
        while (_members.Count > 1 && _members[1].Index <= index) _members.RemoveAt(0);
    }
}
