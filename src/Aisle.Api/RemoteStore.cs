using System.Net;
using System.Net.Http.Headers;
using Aisle.Artifacts;

namespace Aisle.Api;

/// <summary>A content store across the network: a node's own disk (<c>/v1/replica</c>) or the whole data centre (<c>/v1/store</c>).
/// What it reads is verified here too, so a flipped bit on the way is found.</summary>
public sealed class RemoteStore(HttpTransport transport, string root) : IContentStore
{
    public const string Replica = "v1/replica";
    public const string DataCentre = "v1/store";

    /// <summary>Of the answer to <c>missing</c>: copies that every chunk not in it has, and copies each should have.</summary>
    public const string CopiesHeader = "Aisle-Copies", WantedHeader = "Aisle-Wanted";

    public async Task<ChunkPresence> FindMissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellationToken = default)
    {
        if (chunks.Count == 0) return new ChunkPresence([], 0, 0);
        var missing = new List<Digest>();
        var (copies, wanted) = (int.MaxValue, 0);
        for (var from = 0; from < chunks.Count; from += DigestList.MaxCount)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"{root}/missing")
            {
                Content = new ByteArrayContent(DigestList.Encode([.. chunks.Skip(from).Take(DigestList.MaxCount)])),
            };
            using var response = await transport.SendAsync(request, cancellationToken);
            missing.AddRange(DigestList.Decode(await response.Content.ReadAsByteArrayAsync(cancellationToken)));
            copies = Math.Min(copies, HeaderOf(response, CopiesHeader));
            wanted = Math.Max(wanted, HeaderOf(response, WantedHeader));
        }
        return new ChunkPresence(missing, copies, wanted);
    }

    public async Task<ShardReceipt> PutShardAsync(Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"{root}/shards/{shardId.Hex}") { Content = new StreamContent(new Unowned(shard), 1 << 20) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        request.Content.Headers.ContentLength = lengthBytes;
        using var response = await transport.SendAsync(request, cancellationToken);
        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        var receipt = await System.Text.Json.JsonSerializer.DeserializeAsync(body, ApiJson.Default.ReceiptView, cancellationToken)
            ?? throw new AisleException("AISLE-7004", "The store's receipt is empty.", "Put it again.");
        return new ShardReceipt(receipt.Copies, receipt.Wanted);
    }

    public async Task<ReadOnlyMemory<byte>> ReadChunkAsync(Digest chunk, CancellationToken cancellationToken = default)
    {
        try
        {
            using var response = await transport.SendAsync(new HttpRequestMessage(HttpMethod.Get, $"{root}/chunks/{chunk.Hex}"), cancellationToken);
            var bytes = await response.Content.ReadAsByteArrayAsync(cancellationToken);
            if (Digest.Of(bytes) != chunk)
                throw new AisleException("AISLE-1005", $"Chunk {chunk} came from {transport.Server} with other bytes.", "It is read from another copy; run `aisle doctor` on that machine.");
            return bytes;
        }
        catch (ApiException e) when (e.Status == HttpStatusCode.NotFound)
        {
            throw new ArtifactMissingException(chunk, 1);
        }
    }

    public async Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default)
    {
        var shards = await transport.GetAsync($"{root}/shards", ApiJson.Default.IReadOnlyListShardView, cancellationToken);
        return [.. shards.Select(shard => new ShardInfo(shard.Id, shard.LengthBytes))];
    }

    public async Task<Stream> OpenShardAsync(Digest shardId, CancellationToken cancellationToken = default)
    {
        var response = await transport.SendAsync(new HttpRequestMessage(HttpMethod.Get, $"{root}/shards/{shardId.Hex}"), cancellationToken);
        return await response.Content.ReadAsStreamAsync(cancellationToken);
    }

    private int HeaderOf(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) && int.TryParse(values.First(), out var value)
            ? value
            : throw new AisleException("AISLE-7004", $"{transport.Server} answered without {name}.", "Check --server: is it an Aisle data centre of this version?");

    // StreamContent disposes what it is given; the caller of PutShardAsync keeps its stream.
    private sealed class Unowned(Stream inner) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => inner.ReadAsync(buffer, cancellationToken);
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
