namespace Aisle.Artifacts;

/// <summary>
/// Where chunks are kept. Four real sides: one node's disk (<c>DiskStore</c>), a node across the network, many nodes as one
/// (<c>ReplicatedStore</c>), and a data centre seen through its API. All members are safe to call from many threads.
/// </summary>
public interface IContentStore
{
    /// <summary>Which of <paramref name="chunks"/> are not here. Advice for deduplication, in the order asked.</summary>
    Task<IReadOnlyList<Digest>> FindMissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellationToken = default);

    /// <summary>Stores a sealed shard. Returns only when every byte is verified and flushed on as many disks as the store promises; repeating it is harmless.</summary>
    /// <param name="shard">The whole shard file; read once, not disposed.</param>
    Task<ShardReceipt> PutShardAsync(Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken = default);

    /// <summary>One chunk's verified bytes.</summary>
    /// <exception cref="ArtifactMissingException">No healthy copy was found.</exception>
    Task<ReadOnlyMemory<byte>> ReadChunkAsync(Digest chunk, CancellationToken cancellationToken = default);

    /// <summary>Shards held here, in order of id.</summary>
    Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default);

    /// <summary>A whole shard file, for repair. The caller disposes it and verifies what it reads.</summary>
    Task<Stream> OpenShardAsync(Digest shardId, CancellationToken cancellationToken = default);
}

/// <param name="Copies">Disks that hold the shard, each flushed.</param>
/// <param name="Wanted">Disks it should be on; fewer copies than that means repair is due.</param>
public readonly record struct ShardReceipt(int Copies, int Wanted);

public readonly record struct ShardInfo(Digest Id, long LengthBytes);
