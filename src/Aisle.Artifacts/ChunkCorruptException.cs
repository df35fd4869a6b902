namespace Aisle.Artifacts;

/// <summary>A stored chunk is not what its digest says. The copy of the shard it was in is set aside and will be replaced from another node.</summary>
public sealed class ChunkCorruptException(Digest chunk, Digest shard, string where, string why) : AisleException(
    code: ErrorCode,
    what: $"Chunk {chunk.Short} in shard {shard.Short} of {where} is damaged: {why}.",
    next: "Another node's copy replaces it at the next repair; with no other copy, put the artifact again.")
{
    /// <summary>The same when the error came from another node as text.</summary>
    public const string ErrorCode = "AISLE-1005";

    public Digest Chunk { get; } = chunk;

    public Digest Shard { get; } = shard;
}
