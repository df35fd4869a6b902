using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.Node;

public sealed class NodeTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_member_that_is_alone_is_a_cluster_of_one()
    {
        using var directory = new TemporaryDirectory();
        await using (var node = await LedgerNode.OpenAsync(directory.Path, cancellationToken: Ct))
        {
            var answers = await Task.WhenAll(Enumerable.Range(0, 500).Select(i => node.ProposeAsync(Move($"n{i}", "x"), Ct)));
            Assert.All(answers, answer => Assert.IsType<Done>(answer));
            Assert.Equal(500, node.State.Names.Count);
            Assert.True(node.Status.Leads);
        }
        await using var again = await LedgerNode.OpenAsync(directory.Path, cancellationToken: Ct);
        Assert.Equal(500, again.State.Names.Count);
    }

    [Fact]
    public async Task A_directory_of_a_ledger_that_was_alone_goes_on_as_a_cluster_of_one()
    {
        using var directory = new TemporaryDirectory();
        string before;
        await using (var member = await LedgerMember.OpenAsync(directory.Path, new LedgerOptions { SegmentBytes = 4 << 10 }, Ct))
        {
            for (var i = 0; i < 100; i++) await member.ProposeAsync(Move($"n{i}", "x"), Ct);
            before = member.State.Text();
        }
        await using var node = await LedgerNode.OpenAsync(directory.Path, cancellationToken: Ct);
        Assert.Equal(before, node.State.Text());
        Assert.IsType<Done>(await node.ProposeAsync(Move("n1", "y"), Ct));
    }

    [Fact]
    public async Task Three_members_agree_and_go_on_without_one_of_them()
    {
        await using var nodes = await Nodes.StartAsync(3);
        var leader = await nodes.LeaderAsync();
        for (var i = 0; i < 50; i++) Assert.IsType<Done>(await nodes.AskAsync(Move($"n{i}", "x")));
        await nodes.AssertEqualAsync();
        await nodes.StopAsync(leader.Status.Member);
        for (var i = 50; i < 100; i++) Assert.IsType<Done>(await nodes.AskAsync(Move($"n{i}", "x")));
        await nodes.StartAsync(leader.Status.Member);
        await nodes.AssertEqualAsync();
        Assert.All(nodes.Running, node => Assert.Equal(100, node.State.Names.Count));
    }

    [Fact]
    public async Task A_follower_says_who_leads_and_does_nothing()
    {
        await using var nodes = await Nodes.StartAsync(3);
        await nodes.AskAsync(Move("a", "x"));
        LedgerNode? follower;
        // Somebody may be elected in between on a busy machine: who follows is asked when it is asked.
        while ((follower = nodes.Running.FirstOrDefault(node => node.Status is { Leads: false, Leader: not 0 })) is null) await Task.Delay(5, Ct);
        var refused = await Assert.ThrowsAsync<NotLeaderException>(() => follower.ProposeAsync(Move("b", "x"), Ct));
        Assert.NotEqual(follower.Status.Member, refused.Leader);
        Assert.All(nodes.Running, node => Assert.False(node.State.Names.ContainsKey("b")));
        await Assert.ThrowsAsync<NotLeaderException>(() => follower.ReadAsync(Ct));
    }

    [Fact]
    public async Task A_leader_that_is_cut_off_answers_no_command_and_no_read()
    {
        await using var nodes = await Nodes.StartAsync(3);
        var old = await nodes.LeaderAsync();
        await nodes.AskAsync(Move("a", "x"));
        foreach (var other in nodes.Running.Where(node => node != old))
        {
            nodes.Network.Cut(old.Status.Member, other.Status.Member);
            nodes.Network.Cut(other.Status.Member, old.Status.Member);
        }
        var lost = await Assert.ThrowsAnyAsync<AisleException>(() => old.ProposeAsync(Move("lost", "x"), Ct));
        Assert.Contains(lost.Code, new[] { LedgerCodes.OutcomeUnknown, LedgerCodes.NoLeader, LedgerCodes.NotLeader });
        nodes.Network.Heal();
        await nodes.AskAsync(Move("b", "x"));
        await nodes.AssertEqualAsync();
        Assert.All(nodes.Running, node => Assert.True(node.State.Names.ContainsKey("b")));
    }

    [Fact]
    public async Task A_member_that_was_away_too_long_gets_the_state_as_a_snapshot()
    {
        await using var nodes = await Nodes.StartAsync(3, new LedgerOptions { SegmentBytes = 8 << 10 });
        var away = (await nodes.LeaderAsync()).Status.Member % 3 + 1;
        await nodes.StopAsync(away);
        for (var i = 0; i < 300; i++) await nodes.AskAsync(Move($"n{i}", "x"));
        await nodes.StartAsync(away);
        await nodes.AssertEqualAsync();
        Assert.Equal(300, nodes[away].State.Names.Count);
        // And after a restart it is what it was.
        await nodes.StopAsync(away);
        await nodes.StartAsync(away);
        await nodes.AskAsync(Move("after", "x"));
        await nodes.AssertEqualAsync();
    }

    [Fact]
    public async Task A_new_member_learns_by_a_snapshot_and_votes_when_it_has_caught_up()
    {
        await using var nodes = await Nodes.StartAsync(1, new LedgerOptions { SegmentBytes = 8 << 10 });
        for (var i = 0; i < 300; i++) await nodes.AskAsync(Move($"n{i}", "x"));
        await nodes.StartAsync(2);
        await nodes[1].AddLearnerAsync(2, Ct);
        while (nodes[2].State.Revision < nodes[1].State.Revision) await nodes[2].WaitPastAsync(nodes[2].State.Revision, Ct);
        while (true)
        {
            try
            {
                await nodes[1].PromoteAsync(2, Ct);
                break;
            }
            catch (AisleException e) when (e.Code == LedgerCodes.ChangeRefused)
            {
                await Task.Delay(10, Ct);   // its answer is on the way
            }
        }
        Assert.Equal([1UL, 2UL], nodes[1].Status.Voters.Order());
        await nodes.AskAsync(Move("both", "x"));
        await nodes.AssertEqualAsync();
    }

    [Fact]
    public async Task A_command_of_a_session_that_is_asked_again_elsewhere_runs_once()
    {
        await using var nodes = await Nodes.StartAsync(3);
        var session = Assert.IsType<SessionOpened>(await nodes.AskAsync(new OpenSession("test", TimeSpan.FromMinutes(1)) { At = Noon })).Session;
        var command = new InSession(session, 1, Move("a", "x")) { At = Noon };
        var first = await nodes.AskAsync(command);
        await nodes.StopAsync((await nodes.LeaderAsync()).Status.Member);
        Assert.Equal(first, await nodes.AskAsync(command));
        Assert.Single((await nodes.LeaderAsync()).State.Names["a"].History);
    }

    [Fact]
    public async Task A_leader_hands_over_and_the_next_one_has_everything()
    {
        await using var nodes = await Nodes.StartAsync(3);
        for (var i = 0; i < 20; i++) await nodes.AskAsync(Move($"n{i}", "x"));
        var old = await nodes.LeaderAsync();
        Assert.Equal(LedgerCodes.ChangeRefused, (await Assert.ThrowsAsync<AisleException>(() => old.HandOverAsync(9, Ct))).Code);
        await old.HandOverAsync(old.Status.Member % 3 + 1, Ct);
        await nodes.StopAsync(old.Status.Member);
        await nodes.AskAsync(Move("after", "x"));
        Assert.Equal(21, (await nodes.LeaderAsync()).State.Names.Count);
    }

    [Fact]
    public async Task The_ledgers_time_is_set_by_nobody_from_outside()
    {
        await using var nodes = await Nodes.StartAsync(1);
        Assert.Equal(LedgerCodes.CommandMalformed, (await Assert.ThrowsAsync<AisleException>(() => nodes[1].ProposeAsync(new AdvanceTime { At = DateTimeOffset.MaxValue }, Ct))).Code);
        await nodes.AskAsync(Move("a", "x"));
        Assert.InRange(nodes[1].State.Time, Noon, DateTimeOffset.MaxValue.AddYears(-1));
    }

    [Fact]
    public async Task A_damaged_log_is_not_opened_and_not_changed()
    {
        using var directory = new TemporaryDirectory();
        await using (var node = await LedgerNode.OpenAsync(directory.Path, cancellationToken: Ct))
        {
            for (var i = 0; i < 50; i++) await node.ProposeAsync(Move($"n{i}", "x"), Ct);
        }
        var segment = directory.Newest("*.seg");
        var bytes = await File.ReadAllBytesAsync(segment, Ct);
        await File.WriteAllBytesAsync(segment, Corruption.Flip(bytes, bytes.AsSpan().IndexOf("n25"u8), 1), Ct);
        await Assert.ThrowsAsync<LedgerDamagedException>(() => LedgerNode.OpenAsync(directory.Path, cancellationToken: Ct));
        await File.WriteAllBytesAsync(segment, bytes, Ct);
        await using var again = await LedgerNode.OpenAsync(directory.Path, cancellationToken: Ct);
        Assert.Equal(50, again.State.Names.Count);
    }

    [Fact]
    public async Task A_session_that_nobody_uses_expires_by_itself()
    {
        await using var nodes = await Nodes.StartAsync(1);
        await nodes.AskAsync(new OpenSession("test", TimeSpan.FromSeconds(1)) { At = Noon });
        while (nodes[1].State.Sessions.Count > 0) await nodes[1].WaitPastAsync(nodes[1].State.Revision, Ct);
    }

    [Fact]
    public async Task Who_waits_is_answered_when_the_member_ends()
    {
        await using var nodes = await Nodes.StartAsync(3);
        var leader = await nodes.LeaderAsync();
        foreach (var other in nodes.Running.Where(node => node != leader)) nodes.Network.Cut(leader.Status.Member, other.Status.Member);
        var waiting = leader.ProposeAsync(Move("a", "x"), Ct);
        var watching = leader.WaitPastAsync(long.MaxValue, Ct);
        await nodes.StopAsync(leader.Status.Member);
        await Assert.ThrowsAnyAsync<AisleException>(() => waiting);
        Assert.Equal(LedgerCodes.Stopped, (await Assert.ThrowsAnyAsync<AisleException>(() => watching)).Code);
        Assert.Equal(LedgerCodes.Stopped, (await Assert.ThrowsAnyAsync<AisleException>(() => leader.ProposeAsync(Move("b", "x"), Ct))).Code);
    }
}
