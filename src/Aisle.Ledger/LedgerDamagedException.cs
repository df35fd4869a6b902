namespace Aisle.Ledger;

/// <summary>Bytes that had been flushed are not what was written. The ledger does not open; nothing was changed.</summary>
/// <param name="file">The damaged file.</param>
/// <param name="offset">First byte that is wrong.</param>
/// <param name="what">What is wrong there, as the end of a sentence.</param>
public sealed class LedgerDamagedException(string file, long offset, string what) : AisleException(
    code: LedgerCodes.Damaged,
    what: $"{file} is damaged at byte {offset}: {what}.",
    next: "Nothing was cut. Keep the directory as it is, check the disk, and put a copy of the whole directory back before starting again.")
{
    public string File { get; } = file;

    public long Offset { get; } = offset;
}
