namespace Aisle.Artifacts;

/// <summary>Bytes given as a shard break the shard format or are not the shard they were said to be.</summary>
public sealed class ShardInvalidException(string why, Exception? inner = null) : AisleException(
    code: "AISLE-1002",
    what: $"This is not a valid shard: {why}.",
    next: "Send it again; if it comes from a disk, let repair take another node's copy.",
    inner: inner);
