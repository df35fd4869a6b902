using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Threading.Channels;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;
using Aisle.Ledger.Node;
using Aisle.Ledger.Transport;

namespace Aisle.Ledger;

/// <summary>
/// One member of a replicated ledger: the pure <see cref="Raft"/> with its disk, its snapshots and the way to its peers. One thread steps it and applies; the disk
/// works beside it. What it acknowledged a majority has on its disks. The first failed write is final. A member that is alone is a cluster of one.
/// Safe to call from many threads; reading <see cref="State"/> takes no lock and may be behind: <see cref="ReadAsync"/> is not.
/// </summary>
public sealed partial class LedgerNode : ILedger, IPeerListener, IAsyncDisposable
{
    private readonly string _directory;
    private readonly LedgerNodeOptions _options;
    private readonly FileDisk _disk;
    private readonly WriteAheadLog _log;
    private readonly Raft _raft;
    private readonly IPeers _peers;
    private readonly AppliedState _applied;
    private readonly LogWriter _writer;
    private readonly SnapshotKeeper _snapshots;
    private readonly Thread _loop;
    private readonly ITimer _timer;
    private readonly long _begin;
    private readonly AutoResetEvent _wake = new(false);
    private readonly ConcurrentQueue<object> _happened = [];       // from the own disk and snapshots: what they were asked for and no more
    private readonly Channel<Message> _arrived = Channel.CreateBounded<Message>(256);   // full: peers wait
    private readonly Channel<Proposal> _proposals;                 // full: proposers wait
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private AisleException? _failure;   // set once; nothing is answered after it
    private bool _stopping;
    private int _disposed;

    /// <summary>Opens a member's directory, which it makes if need be, and has to itself until it is disposed. A member that is alone is ready to write then.</summary>
    /// <exception cref="LedgerDamagedException">Flushed bytes are gone or changed. Nothing was changed.</exception>
    /// <exception cref="AisleException">AISLE-2050: in use. AISLE-2055: written by a newer program. AISLE-2056: the directory cannot be used. AISLE-2057: it is another member's.</exception>
    public static Task<LedgerNode> OpenAsync(string directory, LedgerNodeOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new LedgerNodeOptions();
        return OpenAsync(directory, options, identity => options.Peers is { } peers ? new TcpPeers(identity, peers, options.Time) : new NoPeers(), cancellationToken);
    }

    public LedgerState State => _applied.State;

    /// <summary>Completes when the member has ended: by <see cref="DisposeAsync"/>, or with the failure that nothing can be written after.</summary>
    public Task Ended => _ended.Task;

    public LedgerNodeStatus Status => Volatile.Read(ref _status);

    /// <inheritdoc/>
    /// <remarks>Only the leader takes commands. Cancelling stops the waiting, not the command.</remarks>
    /// <exception cref="NotLeaderException">Another member leads. Nothing was done.</exception>
    /// <exception cref="AisleException">AISLE-2081: nobody leads. AISLE-2083: ask again soon. AISLE-2054: too large. Nothing was done.
    /// AISLE-2082, AISLE-2052, AISLE-2053: it may run or not; asking again is safe in a session.</exception>
    public async Task<LedgerAnswer> ProposeAsync(LedgerCommand command, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(command);
        var bytes = LedgerCodec.Write(command);
        if (bytes.Length > _options.Ledger.MaxCommandBytes)
        {
            throw new AisleException(LedgerCodes.CommandTooLarge, $"A {command.GetType().Name} of {bytes.Length} bytes is more than {_options.Ledger.MaxCommandBytes}.",
                "Put content into an artifact and give the ledger its digest.");
        }
        if (command is AdvanceTime) throw new AisleException(LedgerCodes.CommandMalformed, "The ledger's time was to be set from outside.", "Leave it to the leader, which stamps every entry.");
        // Applied is what the other members read, not what was handed in.
        var proposal = new Proposal(bytes, LedgerCodec.ReadCommand(bytes), Now);
        try
        {
            await _proposals.Writer.WriteAsync(proposal, cancellationToken).ConfigureAwait(false);
        }
        catch (ChannelClosedException)
        {
            throw Volatile.Read(ref _failure) ?? Stopped();
        }
        Wake();
        return await proposal.Answer.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The state with every command in it that was acknowledged before the call, by whichever member.</summary>
    /// <exception cref="NotLeaderException">Another member leads.</exception>
    /// <exception cref="AisleException">AISLE-2081 to AISLE-2083: ask again. AISLE-2052, AISLE-2053: the member has ended.</exception>
    public Task<LedgerState> ReadAsync(CancellationToken cancellationToken = default) => AskAsync(new Reading(Now), cancellationToken);

    public Task<LedgerState> WaitPastAsync(long revision, CancellationToken cancellationToken = default) => _applied.WaitPastAsync(revision, cancellationToken);

    public IAsyncEnumerable<LedgerWatchEvent> WatchAsync(long revision, CancellationToken cancellationToken = default) => _applied.WatchAsync(revision, cancellationToken);

    /// <summary>Lets a member in that learns and does not vote. Its number is higher than any before.</summary>
    /// <exception cref="AisleException">AISLE-2084: not now, or not at all. AISLE-2080 to AISLE-2083 as of a command.</exception>
    public Task AddLearnerAsync(ulong member, CancellationToken cancellationToken = default) => ChangeAsync(MemberChange.AddLearner, member, cancellationToken);

    /// <summary>Makes a learner that has caught up a voter.</summary>
    /// <exception cref="AisleException">AISLE-2084: not now, or not at all. AISLE-2080 to AISLE-2083 as of a command.</exception>
    public Task PromoteAsync(ulong member, CancellationToken cancellationToken = default) => ChangeAsync(MemberChange.Promote, member, cancellationToken);

    /// <summary>Removes a member, for good.</summary>
    /// <exception cref="AisleException">AISLE-2084: not now, or not at all. AISLE-2080 to AISLE-2083 as of a command.</exception>
    public Task RemoveAsync(ulong member, CancellationToken cancellationToken = default) => ChangeAsync(MemberChange.Remove, member, cancellationToken);

    /// <summary>Hands the lead to another voter, so that stopping this member costs nobody a wait. Tries until it leads no more or is cancelled; does nothing
    /// when it does not lead.</summary>
    /// <exception cref="AisleException">AISLE-2084: <paramref name="to"/> is no other voter.</exception>
    public async Task HandOverAsync(ulong to, CancellationToken cancellationToken = default)
    {
        if (to == Status.Member || !Status.Voters.Contains(to))
        {
            throw new AisleException(LedgerCodes.ChangeRefused, $"m{to} cannot take the lead over from m{Status.Member}: it is no other voter.", $"Choose another of {string.Join(", ", Status.Voters.Select(voter => $"m{voter}"))}.");
        }
        var term = Status.Term;
        while (Status is { Leads: true } status && status.Term == term)
        {
            Happened(new Transfer(new MemberId(to)));
            await Task.Delay(_options.ElectionMinimum, _options.Time, cancellationToken).ConfigureAwait(false);
        }
    }

    async ValueTask IPeerListener.ReceiveAsync(Message message, CancellationToken cancellationToken)
    {
        try
        {
            await _arrived.Writer.WriteAsync(message, cancellationToken).ConfigureAwait(false);
            Wake();
        }
        catch (ChannelClosedException)
        {
            // Ended: nobody is there to read it.
        }
    }

    void IPeerListener.Lost(MemberId peer) => Happened(new PeerUnreachable(peer));

    /// <summary>Ends the member. What waits fails with AISLE-2053.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await _timer.DisposeAsync().ConfigureAwait(false);
        Volatile.Write(ref _stopping, true);
        _wake.Set();
        await Task.Run(() =>
        {
            _loop.Join();
            _snapshots.Stop();
            _writer.Stop();
        }).ConfigureAwait(false);
        End(Stopped());
        await _peers.DisposeAsync().ConfigureAwait(false);
        _log.Dispose();
        _disk.Dispose();
        _wake.Dispose();
    }

    private Task ChangeAsync(MemberChange change, ulong member, CancellationToken ct) => AskAsync(new Changing(Now, change, new MemberId(member)), ct);

    private async Task<LedgerState> AskAsync(Asking asking, CancellationToken ct)
    {
        Happened(asking);
        if (Volatile.Read(ref _failure) is { } failure) asking.Answer.TrySetException(failure);   // the loop may not have seen it any more
        return await asking.Answer.Task.WaitAsync(ct).ConfigureAwait(false);
    }

    private void Happened(object what)
    {
        _happened.Enqueue(what);
        if (Volatile.Read(ref _disposed) == 0) Wake();
    }

    private void Wake()
    {
        try
        {
            _wake.Set();
        }
        catch (ObjectDisposedException)
        {
            // Ended meanwhile.
        }
    }

    private AisleException Stopped() => new(LedgerCodes.Stopped, $"The ledger in {_directory} was stopped.", "Start it again with `aisle up`.");

    /// <summary>Milliseconds since the start.</summary>
    private long Now => (long)_options.Time.GetElapsedTime(_begin).TotalMilliseconds;

    /// <summary>A command on its way, as bytes for the log and as a value for the state.</summary>
    private sealed record Proposal(ReadOnlyMemory<byte> Bytes, LedgerCommand Command, long Since)
    {
        public TaskCompletionSource<LedgerAnswer> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>A read or a change of members on its way.</summary>
    private abstract record Asking(long Since)
    {
        public TaskCompletionSource<LedgerState> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed record Reading(long Since) : Asking(Since);

    private sealed record Changing(long Since, MemberChange Change, MemberId Member) : Asking(Since);
}
