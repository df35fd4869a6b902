using System.Collections.Concurrent;

namespace Aisle.Artifacts.Tests;

/// <summary>Chunks in memory, believed unseen: for tests of what lies above a store.</summary>
internal sealed class MemoryStore : IContentStore
{
    public ConcurrentDictionary<Digest, byte[]> Chunks { get; } = new();

    public int Reads;

    public Digest Keep(byte[] chunk)
    {
        var digest = Digest.Of(chunk);
        Chunks[digest] = chunk;
        return digest;
    }

    public Task<ChunkPresence> FindMissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellationToken = default) =>
        Task.FromResult(new ChunkPresence([.. chunks.Where(chunk => !Chunks.ContainsKey(chunk))], 1, 1));

    public async Task<ShardReceipt> PutShardAsync(Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken = default)
    {
        var copy = new MemoryStream();
        var table = await ShardReader.VerifyAsync(shard, lengthBytes, copy, cancellationToken);
        foreach (var slot in table.Slots) Chunks[slot.Chunk] = copy.GetBuffer().AsSpan(slot.Offset + ShardFrame.HeaderBytes, slot.PlainLength).ToArray();
        return new ShardReceipt(1, 1);
    }

    public Task<ReadOnlyMemory<byte>> ReadChunkAsync(Digest chunk, CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref Reads);
        return Chunks.TryGetValue(chunk, out var content) ? Task.FromResult<ReadOnlyMemory<byte>>(content) : throw new ArtifactMissingException(chunk, 1);
    }

    public Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default) => Task.FromResult<IReadOnlyList<ShardInfo>>([]);

    public Task<Stream> OpenShardAsync(Digest shardId, CancellationToken cancellationToken = default) => throw new ArtifactMissingException(shardId, 1);
}
