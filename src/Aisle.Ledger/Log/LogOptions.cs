namespace Aisle.Ledger.Log;

internal sealed record LogOptions
{
    /// <summary>Size at which a segment ends; one batch that is larger makes a larger segment.</summary>
    public long SegmentBytes { get; init; } = 64 << 20;

    /// <summary>Payload of the newest entries that is kept in memory, so that followers that keep up cost no read.</summary>
    public long CacheBytes { get; init; } = 8 << 20;
}
