using System.Globalization;
using System.Text;
using Aisle.Artifacts;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>Whose directory it is: one member of one cluster. A text file of two lines and their checksum, written once, when the log begins.</summary>
/// <param name="Cluster">32 lower-case hex digits.</param>
internal sealed record LedgerIdentity(string Cluster, MemberId Member)
{
    public const string FileName = "ledger.identity";

    private const string Unfinished = FileName + ".tmp";

    public override string ToString() => $"member {Member} of cluster {Cluster[..Math.Min(12, Cluster.Length)]}";

    /// <returns>Null when the directory belongs to nobody.</returns>
    /// <exception cref="LedgerDamagedException">It is there and not what was written.</exception>
    public static LedgerIdentity? Read(ILedgerDisk disk)
    {
        if (!disk.List().Contains(FileName)) return null;
        var bytes = disk.ReadAll(FileName);
        if (bytes.Length < 256 && Encoding.UTF8.GetString(bytes).Split('\n') is [var first, var second, var checksum, ""]
            && first.StartsWith("cluster ", StringComparison.Ordinal) && second.StartsWith("member ", StringComparison.Ordinal)
            && ulong.TryParse(second.AsSpan("member ".Length), NumberStyles.None, CultureInfo.InvariantCulture, out var member))
        {
            var identity = new LedgerIdentity(first["cluster ".Length..], new MemberId(member));
            if (identity.Checksum() == checksum) return identity;
        }
        throw new LedgerDamagedException(disk.PathOf(FileName), 0, "it does not say whose directory this is");
    }

    public void Write(ILedgerDisk disk)
    {
        using (var file = disk.Open(Unfinished, create: true))
        {
            file.Write(Encoding.UTF8.GetBytes($"{Text()}{Checksum()}\n"), 0);
            file.Flush();
        }
        disk.Rename(Unfinished, FileName);
        disk.FlushDirectory();
    }

    private string Text() => string.Create(CultureInfo.InvariantCulture, $"cluster {Cluster}\nmember {Member.Value}\n");

    private string Checksum() => string.Create(CultureInfo.InvariantCulture, $"crc {Crc32C.Of(Encoding.UTF8.GetBytes(Text())):x8}");
}
