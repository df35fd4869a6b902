using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests;

public sealed class LedgerMemberTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task What_was_acknowledged_is_there_after_a_restart()
    {
        string before;
        await using (var ledger = await Open())
        {
            Assert.Equal(new Done(1), await ledger.ProposeAsync(Move("data/docs", "one"), Ct));
            Assert.Equal(new JobAccepted(new JobId(1), 2), await ledger.ProposeAsync(Submit("a"), Ct));
            Assert.IsType<Refused>(await ledger.ProposeAsync(Move("BAD", "one"), Ct));
            before = ledger.State.Text();
        }
        await using var again = await Open();
        Assert.Equal(before, again.State.Text());
        Assert.Equal(3, again.State.Revision);
    }

    [Fact]
    public async Task An_answer_is_given_after_its_effect_can_be_seen()
    {
        await using var ledger = await Open();
        await Parallel.ForAsync(0, 200, Ct, async (i, ct) =>
        {
            await ledger.ProposeAsync(Move($"n{i}", "x"), ct);
            Assert.True(ledger.State.Names.ContainsKey($"n{i}"));
        });
        Assert.Equal(200, ledger.State.Revision);
    }

    [Fact]
    public async Task Commands_that_wait_together_share_an_entry()
    {
        await using (var ledger = await Open())
        {
            await Task.WhenAll(Enumerable.Range(0, 500).Select(i => ledger.ProposeAsync(Move($"n{i}", "x"), Ct)));
        }
        await using var again = await Open();
        Assert.Equal(500, again.State.Revision);
        Assert.InRange(again.Recovery.EntriesReplayed, 1, 400);
    }

    [Fact]
    public async Task Proposers_wait_when_the_queue_is_full_and_none_is_turned_away()
    {
        await using var ledger = await Open(new LedgerOptions { QueueLength = 1, MaxBatchCommands = 2 });
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => ledger.ProposeAsync(Move($"n{i}", "x"), Ct)));
        Assert.Equal(Enumerable.Range(1, 100).Select(i => (long)i), answers.Cast<Done>().Select(done => done.Revision).Order());
    }

    [Fact]
    public async Task Waiting_past_a_revision_ends_with_the_next_command()
    {
        await using var ledger = await Open();
        var waiting = ledger.WaitPastAsync(0, Ct);
        Assert.False(waiting.IsCompleted);
        await ledger.ProposeAsync(Move("a", "x"), Ct);
        Assert.Equal(1, (await waiting).Revision);
        Assert.True(ledger.WaitPastAsync(0, Ct).IsCompletedSuccessfully);
        using var cancelled = new CancellationTokenSource();
        var never = ledger.WaitPastAsync(1, cancelled.Token);
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => never);
    }

    [Fact]
    public async Task A_stopped_ledger_says_so_to_proposers_and_waiters()
    {
        var ledger = await Open();
        var waiting = ledger.WaitPastAsync(0, Ct);
        await ledger.DisposeAsync();
        await ledger.DisposeAsync();
        Assert.Equal(LedgerCodes.Stopped, (await Assert.ThrowsAsync<AisleException>(() => waiting)).Code);
        Assert.Equal(LedgerCodes.Stopped, (await Assert.ThrowsAsync<AisleException>(() => ledger.ProposeAsync(Move("a", "x"), Ct))).Code);
        Assert.Equal(LedgerCodes.Stopped, (await Assert.ThrowsAsync<AisleException>(() => ledger.WaitPastAsync(0, Ct))).Code);
    }

    [Fact]
    public async Task Stopping_answers_what_is_queued_first()
    {
        var ledger = await Open();
        var proposals = Enumerable.Range(0, 50).Select(i => ledger.ProposeAsync(Move($"n{i}", "x"), Ct)).ToArray();
        await ledger.DisposeAsync();
        Assert.All(await Task.WhenAll(proposals), answer => Assert.IsType<Done>(answer));
    }

    [Fact]
    public async Task A_directory_belongs_to_one_ledger_at_a_time()
    {
        await using (await Open())
        {
            var refused = await Assert.ThrowsAsync<AisleException>(() => Open());
            Assert.Equal(LedgerCodes.InUse, refused.Code);
            Assert.Contains($"process {Environment.ProcessId}", refused.What);
        }
        await using var again = await Open();
    }

    [Fact]
    public async Task A_directory_that_cannot_be_one_is_refused()
    {
        var file = Path.Combine(_directory.Path, "file");
        await File.WriteAllTextAsync(file, "", Ct);
        var refused = await Assert.ThrowsAsync<AisleException>(() => LedgerMember.OpenAsync(Path.Combine(file, "ledger"), cancellationToken: Ct));
        Assert.Equal(LedgerCodes.DirectoryUnusable, refused.Code);
    }

    [Fact]
    public async Task A_command_that_is_too_large_or_has_holes_is_refused_before_the_log()
    {
        await using var ledger = await Open();
        var large = Fail(new JobId(1), new string('x', 1 << 20));
        Assert.Equal(LedgerCodes.CommandTooLarge, (await Assert.ThrowsAsync<AisleException>(() => ledger.ProposeAsync(large, Ct))).Code);
        Assert.Equal(LedgerCodes.CommandMalformed, (await Assert.ThrowsAsync<AisleException>(() => ledger.ProposeAsync(Move(null!, "x"), Ct))).Code);
        Assert.Equal(0, ledger.State.Revision);
    }

    [Fact]
    public async Task Text_that_JSON_cannot_carry_is_the_same_before_and_after_a_restart()
    {
        string before;
        await using (var ledger = await Open())
        {
            await ledger.ProposeAsync(Submit("a"), Ct);
            await ledger.ProposeAsync(Fail(new JobId(1), "half a pair: \ud800."), Ct);
            before = ledger.State.Text();
        }
        await using var again = await Open();
        Assert.Equal(before, again.State.Text());
    }

    [Fact]
    public async Task The_log_stays_bounded_and_the_state_whole_through_many_snapshots()
    {
        var options = new LedgerOptions { SegmentBytes = 16 << 10 };
        string before;
        await using (var ledger = await Open(options))
        {
            for (var i = 0; i < 1000; i++)
            {
                await ledger.ProposeAsync(Move($"n{i % 20}", $"x{i % 3}"), Ct);
                await ledger.ProposeAsync(new RemoveName($"n{i % 20}") { At = Noon }, Ct);
            }
            before = ledger.State.Text();
        }
        Assert.InRange(Directory.EnumerateFiles(_directory.Path, "*.seg").Count(), 2, 3);
        Assert.InRange(Directory.EnumerateFiles(_directory.Path, "*.snap").Count(), 2, 2);
        await using var again = await Open(options);
        Assert.Equal(before, again.State.Text());
        Assert.True(again.Recovery.SnapshotIndex > 0);
        Assert.InRange(again.Recovery.EntriesReplayed, 0, 300);
    }

    private Task<LedgerMember> Open(LedgerOptions? options = null) => LedgerMember.OpenAsync(_directory.Path, options, Ct);
}
