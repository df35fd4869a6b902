using Aisle.Artifacts;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Node;

/// <summary>Who voted when the cluster began: what the log's membership entries change. A file of their bytes and a checksum, written once, before the log.</summary>
internal static class FirstMembers
{
    public const string FileName = "ledger.members";

    private const string Unfinished = FileName + ".tmp";

    /// <returns>Null when the directory does not say.</returns>
    /// <exception cref="LedgerDamagedException">It is there and not what was written.</exception>
    public static Membership? Read(ILedgerDisk disk)
    {
        if (!disk.List().Contains(FileName)) return null;
        var bytes = disk.ReadAll(FileName);
        try
        {
            if (bytes.Length >= sizeof(uint) && BitConverter.ToUInt32(bytes) == Crc32C.Of(bytes.AsSpan(sizeof(uint)))) return Membership.Read(bytes.AsMemory(sizeof(uint)));
        }
        catch (AisleException)
        {
            // Said below: the checksum is right and a newer program wrote something else, or it is right by chance.
        }
        throw new LedgerDamagedException(disk.PathOf(FileName), 0, "it does not say who began this cluster");
    }

    public static void Write(ILedgerDisk disk, Membership members)
    {
        var bytes = members.ToBytes();
        using (var file = disk.Open(Unfinished, create: true))
        {
            file.Write([.. BitConverter.GetBytes(Crc32C.Of(bytes)), .. bytes], 0);
            file.Flush();
        }
        disk.Rename(Unfinished, FileName);
        disk.FlushDirectory();
    }
}
