using Aisle.Artifacts;
using Aisle.Ledger.Log;

namespace Aisle.Ledger;

/// <summary>Opening: the newest whole snapshot, then every entry after it.</summary>
public sealed partial class LedgerMember
{
    private static LedgerMember Open(string directory, LedgerOptions options, CancellationToken ct)
    {
        DirectoryLock? directoryLock = null;
        WriteAheadLog? log = null;
        try
        {
            if (!Directory.Exists(directory))
            {
                Directory.CreateDirectory(directory);
                if (Path.GetDirectoryName(directory) is { } parent) DurableDirectory.Flush(parent);
            }
            directoryLock = DirectoryLock.Take(directory);
            var snapshot = SnapshotFiles.ReadNewest(directory);
            var state = snapshot.State;
            long replayed = 0;
            log = WriteAheadLog.Open(directory, snapshot.Index, snapshot.NewestIndex, batch =>
            {
                ct.ThrowIfCancellationRequested();
                foreach (var command in LedgerCodec.ReadBatch(batch)) (state, _) = state.Apply(command);
                replayed++;
            });
            log.Seal();
            return new LedgerMember(directory, options, directoryLock, log, state,
                new LedgerRecovery(snapshot.Index, replayed, log.TornBytes, snapshot.Damaged));
        }
        catch (Exception e)
        {
            log?.Dispose();
            directoryLock?.Dispose();
            if (e is not (IOException or UnauthorizedAccessException or ArgumentException)) throw;
            throw new AisleException(LedgerCodes.DirectoryUnusable, $"The ledger in {directory} cannot be opened: {e.Message}",
                "Check that the directory can be written by this user and that its disk has room.", e);
        }
    }
}
