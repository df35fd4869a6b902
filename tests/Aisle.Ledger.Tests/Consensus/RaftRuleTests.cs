using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Consensus;

/// <summary>Single rules, one member and hand-made messages; the simulation has them all at once.</summary>
public sealed class RaftRuleTests
{
    private static readonly MemberId One = new(1);
    private static readonly MemberId Two = new(2);
    private static readonly MemberId Three = new(3);

    private long _now;
    private bool _leadersDiskWorks = true;

    [Fact]
    public void Rule_1_a_pre_vote_changes_nothing_at_the_voter_and_a_refusal_tells_its_term()
    {
        var raft = Member(Two, term: 5, 5);
        _now += 10_000;
        var granted = Ask(raft, new VoteRequest(One, Two, 6, 1, new(5, 1), Ballot.PreVote), out var wrote);
        Assert.True(Assert.IsType<VoteReply>(granted).Granted);
        Assert.False(wrote);
        Assert.Equal(5, raft.Term);
        var refused = Assert.IsType<VoteReply>(Ask(raft, new VoteRequest(One, Two, 3, 1, new(2, 9), Ballot.PreVote), out _));
        Assert.False(refused.Granted);
        Assert.Equal(5, refused.Term);
    }

    [Fact]
    public void Rule_1_who_is_refused_with_a_higher_term_adopts_it()
    {
        var raft = Candidate(out var round);
        Tell(raft, new VoteReply(Two, One, 9, round, PreVote: true, Granted: false, Removed: false));
        Assert.Equal(9, raft.Term);
    }

    [Fact]
    public void Rule_2_an_answer_to_an_earlier_round_does_not_count()
    {
        var raft = Candidate(out var round);
        Tell(raft, new VoteReply(Two, One, 1, round - 1, PreVote: true, Granted: true, Removed: false));
        Assert.Equal(Role.PreCandidate, raft.Role);
        Tell(raft, new VoteReply(Two, One, 1, round, PreVote: true, Granted: true, Removed: false));
        Assert.Equal(Role.Candidate, raft.Role);
    }

    [Fact]
    public void Rule_3_who_heard_a_leader_just_now_does_not_vote_and_does_not_take_the_term()
    {
        var raft = Member(Two, term: 1, 1);
        Tell(raft, new Append(One, Two, 1, 1, 1, new(1, 1), [], 0));
        Assert.False(Assert.IsType<VoteReply>(Ask(raft, new VoteRequest(Three, Two, 9, 1, new(8, 8), Ballot.Vote), out _)).Granted);
        Assert.Equal(1, raft.Term);
    }

    [Fact]
    public void Rule_3_an_old_leader_is_told_the_higher_term()
    {
        var raft = Member(Two, term: 4, 1);
        Assert.Equal(4, Ask(raft, new Append(One, Two, 2, 1, 1, new(1, 1), [], 0), out _)!.Term);
    }

    [Fact]
    public void Rule_3_a_leader_that_no_majority_answers_steps_down()
    {
        var raft = Leader(out _);
        for (var i = 0; i < 40; i++) Tick(raft, 10);
        Assert.NotEqual(Role.Leader, raft.Role);
    }

    [Fact]
    public void Rule_4_logs_compare_by_last_term_and_then_by_length()
    {
        foreach (var (last, better) in (ReadOnlySpan<(LogPosition, bool)>)[(new(3, 1), true), (new(2, 3), true), (new(2, 2), false), (new(1, 9), false)])
        {
            var raft = Member(Two, term: 2, 1, 1, 2);
            _now += 10_000;
            Assert.Equal(better, Assert.IsType<VoteReply>(Ask(raft, new VoteRequest(One, Two, 3, 1, last, Ballot.Vote), out _)).Granted);
        }
    }

    [Fact]
    public void Rule_5_while_leadership_is_handed_over_nothing_new_is_taken_and_a_deadline_ends_it()
    {
        var raft = Leader(out _);
        raft.Step(_now, new Transfer(Two));
        raft.Step(_now, new Propose(1, default));
        raft.Step(_now, new Read(2));
        Assert.All(Take(raft).SelectMany(ready => ready.Answers), answer => Assert.Equal(Verdict.Busy, answer.Verdict));
        for (var i = 0; i < 30; i++)
        {
            Tick(raft, 10);
            Tell(raft, new AppendReply(Three, One, raft.Term, raft.PeerOf(Three)!.Session, 0, Accepted: true, 0, default));
        }
        raft.Step(_now, new Propose(3, default));
        Assert.DoesNotContain(Take(raft).SelectMany(ready => ready.Answers), answer => answer.Id == 3);
    }

    [Fact]
    public void Rule_8_an_entry_of_an_older_term_does_not_commit_by_counting()
    {
        var raft = Leader(out var session, 1, 1);   // 1 and 2 are of term 1, 3 is its own blank one
        Tell(raft, new AppendReply(Two, One, raft.Term, session, 0, Accepted: true, 2, default));
        Assert.Equal(0, raft.Commit);
        Tell(raft, new AppendReply(Two, One, raft.Term, session, 0, Accepted: true, 3, default));
        Assert.Equal(3, raft.Commit);
    }

    [Fact]
    public void Rule_9_a_follower_confirms_and_commits_what_the_message_proved_and_no_more()
    {
        var raft = Member(Two, term: 1, 1, 1, 1);
        var reply = Assert.IsType<AppendReply>(Ask(raft, new Append(One, Two, 2, 1, 1, new(1, 1), [], 3), out _));
        Assert.Equal((true, 1L), (reply.Accepted, reply.Index));
        Assert.Equal(1, raft.Commit);
    }

    [Fact]
    public void Rule_10_a_short_message_cuts_nothing_off()
    {
        var raft = Member(Two, term: 1, 1, 1, 1);
        Tell(raft, new Append(One, Two, 1, 1, 1, new(1, 1), [Entry(1, 2)], 0));
        Assert.Equal(3, raft.Last.Index);
        Tell(raft, new Append(One, Two, 2, 1, 1, new(1, 1), [Entry(2, 2)], 0));
        Assert.Equal(new LogPosition(2, 2), raft.Last);
    }

    [Fact]
    public void Rule_10_another_term_at_a_committed_index_stops_the_member()
    {
        var raft = Member(Two, term: 1, 1, 1);
        Tell(raft, new Append(One, Two, 1, 1, 1, new(1, 2), [], 2));
        var e = Assert.Throws<AisleException>(() => Tell(raft, new Append(Three, Two, 2, 1, 1, new(1, 1), [Entry(2, 2)], 0)));
        Assert.Equal(LedgerCodes.Diverged, e.Code);
    }

    [Fact]
    public void Rule_11_a_reply_of_another_term_or_session_is_dropped()
    {
        var raft = Leader(out var session);
        Tell(raft, new AppendReply(Two, One, raft.Term - 1, session, 0, Accepted: true, 1, default));
        Tell(raft, new AppendReply(Two, One, raft.Term, session + 7, 0, Accepted: true, 1, default));
        Assert.Equal(0, raft.Commit);
    }

    [Fact]
    public void Rule_12_a_refusal_skips_a_whole_term()
    {
        var raft = Member(Two, term: 5, 1, 1, 4, 4, 4, 4);
        var reply = Assert.IsType<AppendReply>(Ask(raft, new Append(One, Two, 5, 1, 1, new(3, 6), [], 0), out _));
        Assert.Equal((false, new LogPosition(1, 2)), (reply.Accepted, reply.Hint));
    }

    [Fact]
    public void Rule_13_a_vote_leaves_with_the_write_that_keeps_it()
    {
        var raft = Member(Two, term: 1, 1);
        _now += 10_000;
        raft.Step(_now, new Received(new VoteRequest(One, Two, 2, 1, new(1, 1), Ballot.Vote)));
        Assert.True(raft.TryTake(out var ready));
        Assert.Empty(ready.Send);
        Assert.Equal(new HardState(2, One), ready.Persist!.State);
        Assert.True(Assert.IsType<VoteReply>(Assert.Single(ready.Persist.Release)).Granted);
    }

    [Fact]
    public void Rule_14_a_member_alone_commits_after_its_own_flush()
    {
        var raft = new Raft(One, new RaftSettings(), new RaftStart(default, default, Membership.Of(1), default, []), NoReader, _now);
        Tick(raft, 1);
        Assert.Equal(Role.Leader, raft.Role);
        raft.Step(_now, new Propose(1, default));
        Assert.True(raft.TryTake(out var ready));
        var before = raft.Commit;
        raft.Step(_now, new Persisted(ready.Persist!.Completion));
        Assert.Equal(before + 1, raft.Commit);
    }

    [Fact]
    public void Rule_15_word_of_a_write_of_an_older_term_counts_for_nothing()
    {
        var raft = Leader(out var session, durable: false);
        Tell(raft, new AppendReply(Two, One, raft.Term, session, 0, Accepted: true, 1, default));
        raft.Step(_now, new Persisted(new LogPosition(raft.Term - 1, 1)));
        Assert.Equal(0, raft.Commit);
        raft.Step(_now, new Persisted(new LogPosition(raft.Term, 1)));
        Assert.Equal(1, raft.Commit);
    }

    [Fact]
    public void Rule_23_no_change_of_members_before_an_entry_of_the_own_term_and_the_change_before_committed()
    {
        var raft = Leader(out var session);
        raft.Step(_now, new ChangeMembers(1, MemberChange.AddLearner, new MemberId(4)));
        Assert.Equal(Verdict.ChangeTooEarly, Assert.Single(Take(raft).SelectMany(ready => ready.Answers)).Verdict);
        Tell(raft, new AppendReply(Two, One, raft.Term, session, 0, Accepted: true, 1, default));
        raft.Step(_now, new ChangeMembers(2, MemberChange.AddLearner, new MemberId(4)));
        raft.Step(_now, new ChangeMembers(3, MemberChange.AddLearner, new MemberId(5)));
        Assert.Equal((3, Verdict.ChangeTooEarly), Assert.Single(Take(raft).SelectMany(ready => ready.Answers)) is var answer ? (answer.Id, answer.Verdict) : default);
    }

    [Fact]
    public void Rule_24_a_change_is_active_when_appended_and_undone_when_cut_off()
    {
        var raft = Member(Two, term: 1, 1);
        var change = new Entry(1, 2, EntryKind.Membership, Membership.Of(1, 2, 3).AddLearner(new(4)).ToBytes());
        Tell(raft, new Append(One, Two, 1, 1, 1, new(1, 1), [change], 0));
        Assert.True(raft.ActiveMembers.Has(new(4)));
        Tell(raft, new Append(Three, Two, 2, 1, 1, new(1, 1), [Entry(2, 2)], 0));
        Assert.False(raft.ActiveMembers.Has(new(4)));
    }

    [Fact]
    public void Rule_25_an_id_is_never_used_again()
    {
        var raft = Leader(out var session);
        Tell(raft, new AppendReply(Two, One, raft.Term, session, 0, Accepted: true, 1, default));
        raft.Step(_now, new ChangeMembers(1, MemberChange.AddLearner, Three));
        Assert.Equal(Verdict.UnfitMember, Assert.Single(Take(raft).SelectMany(ready => ready.Answers)).Verdict);
    }

    [Fact]
    public void Rule_26_a_read_waits_for_a_round_that_began_after_it()
    {
        var raft = Leader(out var session);
        Tell(raft, new AppendReply(Two, One, raft.Term, session, 1, Accepted: true, 1, default));
        raft.Step(_now, new Applied(1));
        raft.Step(_now, new Read(1));
        var asked = Take(raft).SelectMany(ready => ready.Send).OfType<Append>().Max(append => append.Round);
        Tell(raft, new AppendReply(Two, One, raft.Term, session, asked - 1, Accepted: true, 1, default));
        raft.Step(_now, new Applied(1));
        Assert.Empty(Take(raft).SelectMany(ready => ready.Answers));
        raft.Step(_now, new Received(new AppendReply(Two, One, raft.Term, session, asked, Accepted: true, 1, default)));
        Assert.Equal(Verdict.Done, Assert.Single(Take(raft).SelectMany(ready => ready.Answers)).Verdict);
    }

    [Fact]
    public void Rule_30_busy_is_not_no_leader()
    {
        var raft = Leader(out _);
        raft.Step(_now, new Propose(1, new byte[(64 << 20) + 1]));
        raft.Step(_now, new Propose(2, default));
        Assert.Equal((2, Verdict.Busy), Assert.Single(Take(raft).SelectMany(ready => ready.Answers)) is var answer ? (answer.Id, answer.Verdict) : default);
    }

    private static Entry Entry(long term, long index) => new(term, index, EntryKind.Blank, default);

    private static IReadOnlyList<Entry> NoReader(long from, long through) => throw new InvalidOperationException($"nothing to read at {from}");

    private Raft Member(MemberId self, long term, params long[] terms) => new(self, new RaftSettings(),
        new RaftStart(new HardState(term, default), default, Membership.Of(1, 2, 3), default, terms.Select((of, i) => Entry(of, i + 1))), NoReader, _now);

    private Raft Candidate(out long round)
    {
        var raft = Member(One, term: 1, 1);
        List<Message> sent = [];
        while (raft.Role == Role.Follower)
        {
            raft.Step(_now += 10, Aisle.Ledger.Consensus.Tick.Now);
            sent.AddRange(Take(raft).SelectMany(ready => ready.Send));
        }
        round = sent.OfType<VoteRequest>().Last().Round;
        return raft;
    }

    private Raft Leader(out long session, params long[] terms) => Leader(out session, durable: true, terms);

    private Raft Leader(out long session, bool durable, params long[] terms)
    {
        _leadersDiskWorks = durable;
        var raft = Member(One, term: 1, terms);
        while (raft.Role == Role.Follower) Tick(raft, 10);
        while (raft.Role != Role.Leader)
        {
            // Whatever it asks for at this moment is granted.
            foreach (var round in (long[])[1, 2])
            {
                Tell(raft, new VoteReply(Two, One, raft.Term, round, PreVote: raft.Role == Role.PreCandidate, Granted: true, Removed: false));
                if (raft.Role == Role.Leader) break;
            }
        }
        session = raft.PeerOf(Two)!.Session;
        return raft;
    }

    private void Tick(Raft raft, long ticks)
    {
        raft.Step(_now += ticks, Aisle.Ledger.Consensus.Tick.Now);
        Take(raft);
    }

    private void Tell(Raft raft, Message message)
    {
        raft.Step(_now, new Received(message));
        Take(raft);
    }

    private Message? Ask(Raft raft, Message message, out bool wrote)
    {
        raft.Step(_now, new Received(message));
        var readies = Take(raft);
        wrote = readies.Any(ready => ready.Persist is { WritesNothing: false });
        return readies.SelectMany(ready => ready.Send.Concat(ready.Persist?.Release ?? [])).FirstOrDefault(reply => reply.To == message.From);
    }

    // Carries out all writes at once; those of a leader only while its disk works.
    private List<Ready> Take(Raft raft)
    {
        List<Ready> all = [];
        while (raft.TryTake(out var ready))
        {
            all.Add(ready);
            if (ready.Persist is { } persist && (_leadersDiskWorks || raft.Role != Role.Leader)) raft.Step(_now, new Persisted(persist.Completion));
        }
        return all;
    }
}
