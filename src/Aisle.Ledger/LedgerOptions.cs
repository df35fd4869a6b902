using Aisle.Ledger.Log;

namespace Aisle.Ledger;

/// <summary>Bounds of a ledger's log and queue. The defaults suit one data centre.</summary>
public sealed record LedgerOptions
{
    /// <summary>Size at which a log segment ends and a snapshot is made, 4 KiB to 256 MiB; a state larger than this raises it to its own size.
    /// On disk there are at most about three segments and three snapshots.</summary>
    public long SegmentBytes
    {
        get;
        init => field = value is >= 4 << 10 and <= MaxSegmentBytes ? value : throw Bad(nameof(SegmentBytes), value, "4096 to 268435456 bytes");
    } = 8 << 20;

    /// <summary>Commands that may wait; the next proposer waits until there is room.</summary>
    public int QueueLength
    {
        get;
        init => field = value >= 1 ? value : throw Bad(nameof(QueueLength), value, "1 or more");
    } = 4096;

    /// <summary>Commands that share one write and one flush at most.</summary>
    public int MaxBatchCommands
    {
        get;
        init => field = value is >= 1 and <= 100_000 ? value : throw Bad(nameof(MaxBatchCommands), value, "1 to 100000");
    } = 1024;

    /// <summary>Size of one command as JSON; larger ones are refused. Content belongs into artifacts.</summary>
    public int MaxCommandBytes
    {
        get;
        init => field = value is >= 256 and <= MaxBatchBytes ? value : throw Bad(nameof(MaxCommandBytes), value, "256 to 4194304 bytes");
    } = 1 << 20;

    /// <summary>Changes that are kept for watchers; one that falls further behind is cut off. About 100 bytes each.</summary>
    public int HistoryChanges
    {
        get;
        init => field = value is >= 1 and <= 10_000_000 ? value : throw Bad(nameof(HistoryChanges), value, "1 to 10000000");
    } = 65_536;

    internal const long MaxSegmentBytes = 256 << 20;

    /// <summary>Commands in one batch stop short of this, so that a record always fits what recovery accepts.</summary>
    internal const int MaxBatchBytes = EntryCodec.MaxPayloadBytes / 4;

    private static ArgumentOutOfRangeException Bad(string name, long value, string range) => new(name, value, $"Choose {range}.");
}
