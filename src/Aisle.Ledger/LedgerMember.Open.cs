using System.Collections.Immutable;
using System.Security.Cryptography;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger;

/// <summary>Opening: the newest whole snapshot, then every entry after it.</summary>
public sealed partial class LedgerMember
{
    private const int ReadBytes = 4 << 20;

    private static LedgerMember Open(string directory, LedgerOptions options, CancellationToken ct)
    {
        FileDisk? disk = null;
        WriteAheadLog? log = null;
        try
        {
            disk = FileDisk.Open(directory);
            // A ledger that is alone is a cluster of one, with a name of its own from the first day.
            var identity = LedgerIdentity.Read(disk) ?? new LedgerIdentity(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)), new MemberId(1));
            log = WriteAheadLog.Open(disk, identity, new LogOptions { SegmentBytes = long.MaxValue, CacheBytes = 0 });
            log.ThrowIfDamaged();
            var snapshot = SnapshotFiles.ReadNewest(disk, SnapshotCodec.Read, out var damaged);
            var (state, replayed) = Replay(log, disk, snapshot, ct);
            log.Seal();
            return new LedgerMember(directory, options, disk, log, state,
                new LedgerRecovery(snapshot?.Position.Index ?? 0, replayed, log.TornBytes, damaged));
        }
        catch (Exception e)
        {
            log?.Dispose();
            disk?.Dispose();
            if (e is not (IOException or UnauthorizedAccessException or ArgumentException)) throw;
            throw FileDisk.Unusable(directory, e);
        }
    }

    private static (LedgerState State, long Replayed) Replay(WriteAheadLog log, FileDisk disk, SnapshotFiles.Found<LedgerState>? snapshot, CancellationToken ct)
    {
        var state = snapshot?.State ?? LedgerState.Empty;
        var from = snapshot?.Position.Index ?? 0;
        var last = log.Last.Index;
        if (log.Base.Index > from)
        {
            throw new LedgerDamagedException(disk.PathOf(SnapshotFiles.NameOf(log.Marked.Index)), 0,
                $"entries {from + 1} to {log.Base.Index} are missing: no whole snapshot covers them and no segment holds them");
        }
        if (SnapshotFiles.List(disk) is [.., var newest] && newest > last)
        {
            throw new LedgerDamagedException(disk.Place, 0, $"the log ends with entry {last}, and a snapshot of entry {newest} was made from it");
        }
        for (var index = from + 1; index <= last;)
        {
            foreach (var entry in log.Read(index, ReadBytes))
            {
                ct.ThrowIfCancellationRequested();
                state = Replay(state, disk, entry);
                index++;
            }
        }
        return (state, last - from);
    }

    private static LedgerState Replay(LedgerState state, FileDisk disk, Entry entry)
    {
        try
        {
            foreach (var command in LedgerCodec.ReadBatch(entry.Payload.Span)) (state, _) = state.Apply(command);
            return state;
        }
        catch (AisleException e)
        {
            throw new AisleException(LedgerCodes.UnknownFormat, $"Entry {entry.Index} of the log in {disk.Place} is whole, and this program cannot read it: {e.What}",
                "Start the version of aisle that wrote it, or a newer one.", e);
        }
    }
}
