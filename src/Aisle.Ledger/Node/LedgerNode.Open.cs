using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Threading.Channels;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;
using Aisle.Ledger.Node;
using Aisle.Ledger.Transport;

namespace Aisle.Ledger;

/// <summary>Opening: the newest whole snapshot is the state, the log is what may follow. What of it committed, the cluster tells.</summary>
public sealed partial class LedgerNode
{
    private const int ReadBytes = 4 << 20;

    internal static async Task<LedgerNode> OpenAsync(string directory, LedgerNodeOptions options, Func<LedgerIdentity, IPeers> peers, CancellationToken cancellationToken)
    {
        var node = await Task.Run(() => Open(Path.GetFullPath(directory), options, peers), cancellationToken).ConfigureAwait(false);
        try
        {
            if (node._raft.ActiveMembers.Voters is [var only] && only == node._raft.Self) await node.ReadAsync(cancellationToken).ConfigureAwait(false);
            return node;
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static LedgerNode Open(string directory, LedgerNodeOptions options, Func<LedgerIdentity, IPeers> peers)
    {
        FileDisk? disk = null;
        WriteAheadLog? log = null;
        IPeers? way = null;
        try
        {
            disk = FileDisk.Open(directory);
            var found = LedgerIdentity.Read(disk);
            var cluster = options.Cluster ?? found?.Cluster ?? Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
            var identity = new LedgerIdentity(cluster, new MemberId(options.Member));
            // Before the identity, and so before there is a log: a directory with a log and without this was a ledger that was alone from the beginning.
            if (found is null && FirstMembers.Read(disk) is null) FirstMembers.Write(disk, Membership.Of([.. options.FirstMembers ?? [options.Member]]));
            var first = FirstMembers.Read(disk) ?? Membership.Of(options.Member);
            log = WriteAheadLog.Open(disk, identity, new LogOptions { SegmentBytes = options.Ledger.SegmentBytes });
            log.ThrowIfDamaged();
            var snapshot = SnapshotFiles.ReadNewest(disk, SnapshotCodec.Read, out _);
            if (log.Base.Index > (snapshot?.Position.Index ?? 0))
            {
                throw new LedgerDamagedException(disk.PathOf(SnapshotFiles.NameOf(log.Marked.Index)), 0,
                    $"no whole snapshot reaches entry {log.Base.Index}, where the log begins");
            }
            way = peers(identity);
            return new LedgerNode(directory, options, disk, log, identity, way, snapshot, first);
        }
        catch (Exception e)
        {
            if (way is not null) _ = way.DisposeAsync().AsTask();   // nothing was begun on it
            log?.Dispose();
            disk?.Dispose();
            if (e is not (IOException or UnauthorizedAccessException or ArgumentException)) throw;
            throw FileDisk.Unusable(directory, e);
        }
    }

    private LedgerNode(string directory, LedgerNodeOptions options, FileDisk disk, WriteAheadLog log, LedgerIdentity identity, IPeers peers,
        SnapshotFiles.Found<LedgerState>? snapshot, Membership first)
    {
        (_directory, _options, _disk, _log, _peers) = (directory, options, disk, log, peers);
        _begin = options.Time.GetTimestamp();
        _proposals = Channel.CreateBounded<Proposal>(new BoundedChannelOptions(options.Ledger.QueueLength) { SingleReader = true });
        _applied = new AppliedState(snapshot?.State ?? LedgerState.Empty, options.Ledger.HistoryChanges);
        var position = snapshot?.Position ?? default;
        // A ledger that was alone kept no members with its snapshots.
        var members = snapshot is null || snapshot.Membership.IsEmpty ? first : Membership.Read(snapshot.Membership);
        var (heartbeat, minimum) = ((long)options.Heartbeat.TotalMilliseconds, (long)options.ElectionMinimum.TotalMilliseconds);
        var settings = new RaftSettings
        {
            Heartbeat = heartbeat,
            ElectionMinimum = minimum,
            ElectionSpread = Math.Max(1, minimum * 3 / 4),
            ElectionMaximum = 15 * minimum,
            ResendAfter = 5 * heartbeat,
            Seed = options.Seed,
        };
        _raft = new Raft(identity.Member, settings, new RaftStart(log.HardState, position, members, log.Base, ReadAll(log)), Read, Now);
        (_newestSnapshot, _lastApplied) = (position, position);
        _status = TakeStatus();
        _writer = new LogWriter(log, disk, peers.Send, completion => Happened(new Persisted(completion)), EndByDisk);
        _snapshots = new SnapshotKeeper(identity.Member, disk, peers.Send, Happened, EndByDisk);
        _loop = new Thread(Run) { IsBackground = true, Name = "ledger" };
        _loop.Start();
        var period = options.Heartbeat / 3;
        _timer = options.Time.CreateTimer(_ =>
        {
            Volatile.Write(ref _ticked, true);
            Wake();
        }, null, period, period);
        peers.Start(this);
    }

    private static IEnumerable<Entry> ReadAll(WriteAheadLog log)
    {
        var last = log.Last.Index;
        for (var index = log.Base.Index + 1; index <= last;)
        {
            foreach (var entry in log.Read(index, ReadBytes))
            {
                yield return entry;
                index++;
            }
        }
    }

    /// <summary>Entries that the core has dropped from memory: applied and durable, so they are in the log until a snapshot is noted.</summary>
    private List<Entry> Read(long from, long through)
    {
        var entries = new List<Entry>();
        while (from + entries.Count <= through)
        {
            foreach (var entry in _log.Read(from + entries.Count, ReadBytes))
            {
                if (entry.Index <= through) entries.Add(entry);
            }
        }
        return entries;
    }
}
