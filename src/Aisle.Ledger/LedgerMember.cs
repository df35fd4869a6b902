using System.Collections.Immutable;
using System.Threading.Channels;
using Aisle.Ledger.Log;

namespace Aisle.Ledger;

/// <summary>
/// A ledger of one member: the pure <see cref="LedgerState"/> behind a durable log in one directory. What it acknowledged is there after any crash.
/// One loop writes: it takes what waits, appends it as one entry, flushes once, applies and answers. The first failed write is final.
/// Safe to call from many threads; reading <see cref="State"/> takes no lock.
/// </summary>
public sealed partial class LedgerMember : ILedger, IAsyncDisposable
{
    private readonly string _directory;
    private readonly LedgerOptions _options;
    private readonly FileDisk _disk;
    private readonly Channel<Proposal> _queue;
    private readonly Task _loop;
    private readonly AppliedState _applied;
    private AisleException? _failure;   // set once; nothing is written after it
    private int _disposed;

    private LedgerMember(string directory, LedgerOptions options, FileDisk disk, WriteAheadLog log, LedgerState state, LedgerRecovery recovery)
    {
        _directory = directory;
        _options = options;
        _disk = disk;
        _log = log;
        _applied = new AppliedState(state, options.HistoryChanges);
        _newestSnapshot = recovery.SnapshotIndex;
        _rollAt = options.SegmentBytes;
        Recovery = recovery;
        _queue = Channel.CreateBounded<Proposal>(new BoundedChannelOptions(options.QueueLength) { SingleReader = true });   // full: proposers wait
        _loop = Task.Run(WriteAsync);
    }

    /// <summary>What opening found.</summary>
    public LedgerRecovery Recovery { get; }

    public LedgerState State => _applied.State;

    /// <summary>Opens the ledger in <paramref name="directory"/>, which it makes if need be, and has to itself until it is disposed.</summary>
    /// <exception cref="LedgerDamagedException">Flushed bytes are gone or changed; the message names the file and the offset. Nothing was changed.</exception>
    /// <exception cref="AisleException">AISLE-2050: in use. AISLE-2055: written by a newer program. AISLE-2056: the directory cannot be used.</exception>
    public static Task<LedgerMember> OpenAsync(string directory, LedgerOptions? options = null, CancellationToken cancellationToken = default) =>
        Task.Run(() => Open(Path.GetFullPath(directory), options ?? new LedgerOptions(), cancellationToken), cancellationToken);

    /// <inheritdoc/>
    /// <remarks>Cancelling stops the waiting, not the command: once it is queued it may be applied all the same. So may a command that failed with
    /// AISLE-2052; whether it was is seen after the next start.</remarks>
    public async Task<LedgerAnswer> ProposeAsync(LedgerCommand command, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(command);
        var bytes = LedgerCodec.Write(command);
        if (bytes.Length > _options.MaxCommandBytes)
        {
            throw new AisleException(LedgerCodes.CommandTooLarge, $"A {command.GetType().Name} of {bytes.Length} bytes is more than {_options.MaxCommandBytes}.",
                "Put content into an artifact and give the ledger its digest.");
        }
        // Applied is what a replay would read, not what was handed in: should the two ever differ, they differ before the answer, not after a restart.
        var proposal = new Proposal(bytes, LedgerCodec.ReadCommand(bytes));
        try
        {
            await _queue.Writer.WriteAsync(proposal, cancellationToken).ConfigureAwait(false);
        }
        catch (ChannelClosedException)
        {
            throw Volatile.Read(ref _failure) ?? Stopped();
        }
        return await proposal.Answer.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    public Task<LedgerState> WaitPastAsync(long revision, CancellationToken cancellationToken = default) => _applied.WaitPastAsync(revision, cancellationToken);

    public IAsyncEnumerable<LedgerWatchEvent> WatchAsync(long revision, CancellationToken cancellationToken = default) => _applied.WatchAsync(revision, cancellationToken);

    /// <summary>Answers what is queued, then closes. Later proposals and waits past the last revision fail with AISLE-2053.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        _queue.Writer.TryComplete();
        await _loop.ConfigureAwait(false);
        End(Stopped());
        _log.Dispose();
        _disk.Dispose();
    }

    private AisleException Stopped() => new(LedgerCodes.Stopped, $"The ledger in {_directory} was stopped.", "Start it again with `aisle up`.");

    /// <summary>A command on its way, as bytes for the log and as a value for the state.</summary>
    private sealed record Proposal(ReadOnlyMemory<byte> Bytes, LedgerCommand Command)
    {
        public TaskCompletionSource<LedgerAnswer> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <param name="SnapshotIndex">Entry of the snapshot that opening began with; 0 without one.</param>
/// <param name="EntriesReplayed">Entries read from the log after it.</param>
/// <param name="TornBytesCut">Bytes that a crash had left half-written; nobody was promised them.</param>
/// <param name="DamagedSnapshots">Newer snapshots that were not whole and were passed over. Nothing is lost: the log covers them. The disk deserves a look.</param>
public sealed record LedgerRecovery(long SnapshotIndex, long EntriesReplayed, long TornBytesCut, ImmutableArray<string> DamagedSnapshots);
