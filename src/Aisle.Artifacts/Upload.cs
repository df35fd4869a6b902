using System.Buffers;

namespace Aisle.Artifacts;

/// <summary>
/// One put's way of sending chunks: asks in batches which are missing, packs those into shards, and sends full shards while the next is
/// being packed. Not thread-safe. Memory: one batch; disk: the shard being packed and two on their way.
/// </summary>
internal sealed class Upload(IContentStore store, string temporaryDirectory, CancellationToken cancellationToken) : IAsyncDisposable
{
    private const int BatchBytes = 8 * 1024 * 1024, BatchChunks = 1024, ShardsOnTheirWay = 2;

    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
    private readonly HashSet<Digest> _seen = [];
    private readonly List<(Digest Chunk, byte[] Rented, int Length, bool IsNode)> _batch = [];
    private readonly Queue<Task<(ShardReceipt Receipt, long LengthBytes)>> _sending = [];
    private FileStream? _file;
    private ShardWriter? _shard;
    private int _batchBytes;
    private ShardReceipt? _weakest;

    public int Chunks { get; private set; }

    public int NewChunks { get; private set; }

    public long StoredBytes { get; private set; }

    /// <summary>Takes one chunk of content.</summary>
    /// <param name="content">Copied; free again when this returns.</param>
    public ValueTask<Digest> AddAsync(ReadOnlyMemory<byte> content)
    {
        Chunks++;
        return AddAsync(content, isNode: false);
    }

    public ValueTask<Digest> AddNodeAsync(ReadOnlyMemory<byte> node) => AddAsync(node, isNode: true);

    /// <summary>Sends the rest and waits until all of it is acknowledged.</summary>
    /// <returns>The weakest promise among everything added, sent now or there before.</returns>
    public async Task<ShardReceipt> FinishAsync()
    {
        await PackBatchAsync();
        await SendShardAsync();
        while (_sending.TryDequeue(out var sending)) Sent(await sending);
        return _weakest ?? throw new InvalidOperationException("Nothing was added.");
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var sending in _sending) await ((Task)sending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_file is not null) await _file.DisposeAsync();
        foreach (var (_, rented, _, _) in _batch) ArrayPool<byte>.Shared.Return(rented);
        _batch.Clear();
        _stop.Dispose();
    }

    private async ValueTask<Digest> AddAsync(ReadOnlyMemory<byte> content, bool isNode)
    {
        var chunk = Digest.Of(content.Span);
        if (!_seen.Add(chunk)) return chunk;
        var rented = ArrayPool<byte>.Shared.Rent(content.Length);
        content.CopyTo(rented);
        _batch.Add((chunk, rented, content.Length, isNode));
        _batchBytes += content.Length;
        if (_batchBytes >= BatchBytes || _batch.Count >= BatchChunks) await PackBatchAsync();
        return chunk;
    }

    private async Task PackBatchAsync()
    {
        if (_batch.Count == 0) return;
        var presence = await store.FindMissingAsync([.. _batch.Select(item => item.Chunk)], _stop.Token);
        if (presence.Missing.Count < _batch.Count) Note(new ShardReceipt(presence.Copies, presence.Wanted));
        var missing = presence.Missing.ToHashSet();
        foreach (var (chunk, rented, length, isNode) in _batch)
        {
            if (missing.Contains(chunk)) await PackAsync(chunk, rented.AsMemory(0, length), isNode);
            ArrayPool<byte>.Shared.Return(rented);
        }
        _batch.Clear();
        _batchBytes = 0;
    }

    private async ValueTask PackAsync(Digest chunk, ReadOnlyMemory<byte> content, bool isNode)
    {
        if (_shard is not null && !_shard.HasRoomFor(content.Length)) await SendShardAsync();
        try
        {
            _file ??= TemporaryFile();
            _shard ??= new ShardWriter(_file);
            _shard.Add(chunk, content.Span);
        }
        catch (IOException error) when (DiskFullException.Explains(error))
        {
            throw DiskFullException.From(error, temporaryDirectory, ShardWriter.MaxFileBytes);
        }
        if (!isNode) NewChunks++;
    }

    private async Task SendShardAsync()
    {
        if (_shard is null) return;
        while (_sending.Count >= ShardsOnTheirWay) Sent(await _sending.Dequeue());
        var (file, shard) = (_file!, _shard);
        (_file, _shard) = (null, null);
        _sending.Enqueue(SendAsync(file, shard));
    }

    private async Task<(ShardReceipt Receipt, long LengthBytes)> SendAsync(FileStream file, ShardWriter shard)
    {
        await using (file)
        {
            ShardInfo sealedShard;
            try
            {
                sealedShard = shard.Seal();
                await file.FlushAsync(_stop.Token);
            }
            catch (IOException error) when (DiskFullException.Explains(error))
            {
                throw DiskFullException.From(error, temporaryDirectory, ShardWriter.MaxFileBytes);
            }
            file.Position = 0;
            return (await store.PutShardAsync(sealedShard.Id, file, sealedShard.LengthBytes, _stop.Token), sealedShard.LengthBytes);
        }
    }

    private void Sent((ShardReceipt Receipt, long LengthBytes) shard)
    {
        StoredBytes += shard.LengthBytes;
        Note(shard.Receipt);
    }

    private void Note(ShardReceipt receipt)
    {
        if (_weakest is not { } weakest || receipt.Copies < weakest.Copies) _weakest = receipt;
    }

    /// <summary>A file without a name: gone with its last handle, even if the process is killed.</summary>
    private FileStream TemporaryFile()
    {
        Directory.CreateDirectory(temporaryDirectory);
        var path = Path.Combine(temporaryDirectory, $"aisle-{Environment.ProcessId}-{Path.GetRandomFileName()}");
        var file = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete, bufferSize: 128 * 1024, FileOptions.DeleteOnClose);
        if (!OperatingSystem.IsWindows()) File.Delete(path);
        return file;
    }
}
