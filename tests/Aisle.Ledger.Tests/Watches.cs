using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests;

public sealed class Watches : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void What_a_command_changed_is_what_differs_between_the_states()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var (states, commands) = RandomCommands.Run(seed, 100, holes: true);
            for (var i = 0; i < commands.Length; i++)
            {
                var told = new List<LedgerChange>();
                LedgerChanges.Add(states[i], commands[i], states[i + 1], told);
                Assert.True(Differences(states[i], states[i + 1]).SequenceEqual(told), $"seed {seed}: {commands[i]} was said to change {string.Join(", ", told)}, and changed {string.Join(", ", Differences(states[i], states[i + 1]))}");
            }
        }
    }

    [Fact]
    public void Jobs_that_are_forgotten_are_changes_too()
    {
        var state = LedgerState.Empty;
        for (var i = 1; i <= LedgerState.FinishedJobsKept; i++) state = state.Then(Submit("i" + i)).Then(Cancel(new JobId(i)));
        state = state.Then(Submit("last"), out var last);
        var next = state.Then(Cancel(last));
        var told = new List<LedgerChange>();
        LedgerChanges.Add(state, Cancel(last), next, told);
        Assert.Equal([new(next.Revision, ChangeKind.Job, "job-1"), new(next.Revision, ChangeKind.Job, last.ToString())], told);
    }

    [Fact]
    public async Task A_watch_from_any_revision_brings_every_change_once_and_in_order_while_others_write()
    {
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
        var writing = Parallel.ForAsync(0, 400, Ct, async (i, ct) => await ledger.ProposeAsync(i % 5 == 0 ? Move("BAD", "x") : Move($"n{i}", "x"), ct));
        var seen = new List<LedgerChange>();
        await foreach (var change in ledger.WatchAsync(0, Ct))
        {
            seen.AddRange(Assert.IsType<WatchedChanges>(change).Changes);
            // Cut off by ourselves now and then: the next watch goes on where this one was.
            if (seen.Count > 100) break;
        }
        await foreach (var change in ledger.WatchAsync(seen[^1].Revision, Ct))
        {
            var changes = Assert.IsType<WatchedChanges>(change);
            Assert.True(ledger.State.Revision >= changes.Changes[^1].Revision);
            seen.AddRange(changes.Changes);
            if (seen.Count == 320) break;
        }
        await writing;
        Assert.Equal(320, seen.Select(change => change.Key).Distinct().Count());
        Assert.Equal(seen.Select(change => change.Revision).Order(), seen.Select(change => change.Revision));
    }

    [Fact]
    public async Task A_revision_before_the_history_is_answered_with_the_state_and_what_comes_after_it()
    {
        await using (var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct)) await ledger.ProposeAsync(Move("a", "x"), Ct);
        await using var again = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
        await using var watch = again.WatchAsync(0, Ct).GetAsyncEnumerator(Ct);
        Assert.True(await watch.MoveNextAsync());
        var snapshot = Assert.IsType<WatchedSnapshot>(watch.Current);
        Assert.Equal((1, 1, "a"), (snapshot.Oldest, snapshot.State.Revision, snapshot.State.Names.Keys.Single()));
        var next = watch.MoveNextAsync();
        Assert.False(next.IsCompleted);
        await again.ProposeAsync(Move("b", "x"), Ct);
        Assert.True(await next);
        Assert.Equal([new LedgerChange(2, ChangeKind.Name, "b")], Assert.IsType<WatchedChanges>(watch.Current).Changes);
    }

    [Fact]
    public async Task A_watcher_that_is_too_slow_is_cut_off_with_its_revision()
    {
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, new LedgerOptions { HistoryChanges = 10 }, Ct);
        await using var watch = ledger.WatchAsync(0, Ct).GetAsyncEnumerator(Ct);
        await ledger.ProposeAsync(Move("a", "x"), Ct);
        Assert.True(await watch.MoveNextAsync());
        for (var i = 0; i < 11; i++) await ledger.ProposeAsync(Move($"n{i}", "x"), Ct);
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(new WatchCutOff(1), watch.Current);
        Assert.False(await watch.MoveNextAsync());
        await using var resumed = ledger.WatchAsync(1, Ct).GetAsyncEnumerator(Ct);
        Assert.True(await resumed.MoveNextAsync());
        Assert.Equal(12, Assert.IsType<WatchedSnapshot>(resumed.Current).State.Revision);
    }

    private static IEnumerable<LedgerChange> Differences(LedgerState before, LedgerState after) =>
    [
        .. Differ(before.Names, after.Names, ChangeKind.Name, after.Revision),
        .. Differ(before.Jobs, after.Jobs, ChangeKind.Job, after.Revision),
        .. Differ(before.Endpoints, after.Endpoints, ChangeKind.Endpoint, after.Revision),
        .. Differ(before.Leases, after.Leases, ChangeKind.Lease, after.Revision),
    ];

    private static IEnumerable<LedgerChange> Differ<TKey, T>(IReadOnlyDictionary<TKey, T> before, IReadOnlyDictionary<TKey, T> after, ChangeKind kind, long revision)
        where TKey : notnull, IComparable<TKey>
        where T : class =>
        from key in before.Keys.Union(after.Keys)
        where !ReferenceEquals(before.GetValueOrDefault(key), after.GetValueOrDefault(key))
        orderby key
        select new LedgerChange(revision, kind, key.ToString()!);
}
