namespace Aisle.Artifacts;

public sealed partial class ArtifactStore
{
    /// <summary>The digest that a put of this file or folder would give, with nothing stored anywhere.</summary>
    /// <exception cref="AisleException">AISLE-1007: a name is refused; AISLE-1008: something cannot be read, is a link, or changed meanwhile.</exception>
    public static async Task<Digest> DigestOfAsync(string path, CancellationToken cancellationToken = default) =>
        (await new ArtifactStore(new NowhereStore()).PutAsync(path, cancellationToken: cancellationToken)).Digest;

    /// <summary>Claims to have every chunk already, so that a put only counts.</summary>
    private sealed class NowhereStore : IContentStore
    {
        public Task<ChunkPresence> FindMissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellationToken = default) => Task.FromResult(new ChunkPresence([], 1, 1));

        public Task<ShardReceipt> PutShardAsync(Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken = default) => throw new System.Diagnostics.UnreachableException();

        public Task<ReadOnlyMemory<byte>> ReadChunkAsync(Digest chunk, CancellationToken cancellationToken = default) => throw new ArtifactMissingException(chunk, 0);

        public Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default) => Task.FromResult<IReadOnlyList<ShardInfo>>([]);

        public Task<Stream> OpenShardAsync(Digest shardId, CancellationToken cancellationToken = default) => throw new ArtifactMissingException(shardId, 0);
    }
}
