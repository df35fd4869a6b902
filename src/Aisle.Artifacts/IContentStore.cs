namespace Aisle.Artifacts;

/// <summary>
/// Where chunks are kept. Four real sides: one node's disk (<c>DiskStore</c>), a node across the network, many nodes as one
/// (<c>ReplicatedStore</c>), and a data centre seen through its API. All members are safe to call from many threads.
/// </summary>
public interface IContentStore
{
    /// <summary>Which of <paramref name="chunks"/> would have to be sent, and how safe the others are. A chunk counts as present only
    /// when it is on as many disks as a put promises, so that leaving it out of a put never weakens the put.</summary>
    Task<ChunkPresence> FindMissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellationToken = default);

    /// <summary>Stores a sealed shard. Returns only when every byte is verified and flushed on as many disks as the store promises; repeating it is harmless.</summary>
    /// <param name="shard">The whole shard file; read once from where it stands, not disposed.</param>
    /// <exception cref="ShardInvalidException">The bytes are not the shard of that id. Nothing was kept.</exception>
    /// <exception cref="DiskFullException">No room. Nothing was kept, nothing was lost.</exception>
    /// <exception cref="TooFewCopiesException">Too few nodes could store it. It may be on some of them; putting it again is safe.</exception>
    Task<ShardReceipt> PutShardAsync(Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken = default);

    /// <summary>One chunk's bytes, verified against its digest: no store releases a byte it has not checked itself.</summary>
    /// <exception cref="ArtifactMissingException">No copy was found.</exception>
    /// <exception cref="ChunkCorruptException">Every copy that was found is damaged.</exception>
    Task<ReadOnlyMemory<byte>> ReadChunkAsync(Digest chunk, CancellationToken cancellationToken = default);

    /// <summary>Healthy shards held here, in order of id.</summary>
    Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default);

    /// <summary>A whole shard file, for repair. The caller disposes it and verifies what it reads.</summary>
    /// <exception cref="ArtifactMissingException">It is not here.</exception>
    Task<Stream> OpenShardAsync(Digest shardId, CancellationToken cancellationToken = default);
}

/// <param name="Missing">Chunks to send, in the order asked, each once.</param>
/// <param name="Copies">Disks that every chunk not in <paramref name="Missing"/> is on at least; <paramref name="Wanted"/> when all are missing.</param>
/// <param name="Wanted">Disks each chunk should be on.</param>
public sealed record ChunkPresence(IReadOnlyList<Digest> Missing, int Copies, int Wanted);

/// <param name="Copies">Disks that hold the shard, each flushed.</param>
/// <param name="Wanted">Disks it should be on; fewer copies than that means repair is due.</param>
public readonly record struct ShardReceipt(int Copies, int Wanted);

public readonly record struct ShardInfo(Digest Id, long LengthBytes);
