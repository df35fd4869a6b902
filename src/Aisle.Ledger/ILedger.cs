namespace Aisle.Ledger;

/// <summary>
/// What the rest of Aisle uses of the ledger, whatever agrees on its log: one durable log now, a replicated one later.
/// Safe to call from many threads.
/// </summary>
public interface ILedger
{
    /// <summary>The state after the newest acknowledged command. A value: keep it as long as you like.</summary>
    LedgerState State { get; }

    /// <summary>Agrees on a command. Returns after it is durable and applied; what it returns is never lost.</summary>
    /// <exception cref="AisleException">AISLE-20xx: the ledger cannot write (disk full, damaged, stopped). Nothing was acknowledged.</exception>
    Task<LedgerAnswer> ProposeAsync(LedgerCommand command, CancellationToken cancellationToken = default);

    /// <summary>Completes when <see cref="State"/> is newer than <paramref name="revision"/>, with that state.</summary>
    Task<LedgerState> WaitPastAsync(long revision, CancellationToken cancellationToken = default);

    /// <summary>What changes after <paramref name="revision"/>: in order, each change once, without a gap. An older revision than the history reaches back to
    /// is answered with a <see cref="WatchedSnapshot"/> first. A watcher that falls behind the history gets a <see cref="WatchCutOff"/>, and the watch ends.
    /// Else it ends by cancelling, or with the failure that ends the ledger.</summary>
    IAsyncEnumerable<LedgerWatchEvent> WatchAsync(long revision, CancellationToken cancellationToken = default);
}
