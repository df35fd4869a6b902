namespace Aisle.Artifacts;

/// <summary>
/// One node's shards in one directory. Acknowledged means verified and flushed, file and directory both; reads check CRC and SHA-256
/// before a byte is released; a damaged shard is set aside, still serves what is whole in it, and is replaced by the next good copy.
/// Thread-safe; one process at a time owns the directory.
/// <code>
/// shards/ID.shard       acknowledged      quarantine/ID.shard   damaged, kept until a good copy comes
/// tmp/                  being written, emptied at open          lock   held while open
/// </code>
/// </summary>
public sealed partial class DiskStore : IContentStore, IDisposable
{
    private const int ReadsAtOnce = 32; // each holds one file open

    private readonly string _shardDirectory, _quarantineDirectory;
    private readonly FileStream _lock;
    private readonly SemaphoreSlim _reads = new(ReadsAtOnce);
    private readonly Lock _publishing = new(); // one rename into or out of shards/ at a time; taken before _gate
    private readonly Lock _gate = new(); // guards _held and _index; never held across an await or a flush
    private readonly Dictionary<Digest, HeldShard> _held = [];
    private readonly ChunkIndex _index = new();
    private IOException? _writeFailure; // once a flush has failed, what the disk says of writes is not believed until it is opened anew
    private long _corruptionsFound;

    private DiskStore(string root, FileStream ownership)
    {
        Root = root;
        _lock = ownership;
        _shardDirectory = Path.Combine(root, "shards");
        _quarantineDirectory = Path.Combine(root, "quarantine");
        TemporaryDirectory = Path.Combine(root, "tmp");
    }

    public string Root { get; }

    /// <summary>Scratch on the same disk; emptied each time the store is opened.</summary>
    public string TemporaryDirectory { get; }

    /// <summary>Damaged frames and shards met since the store was opened.</summary>
    public long CorruptionsFound => Interlocked.Read(ref _corruptionsFound);

    /// <summary>Bytes of healthy shards.</summary>
    public long StoredBytes
    {
        get
        {
            lock (_gate) return _held.Values.Where(shard => !shard.Quarantined).Sum(shard => shard.LengthBytes);
        }
    }

    public Task<ChunkPresence> FindMissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellationToken = default)
    {
        var missing = new List<Digest>();
        var asked = new HashSet<Digest>();
        lock (_gate)
        {
            foreach (var chunk in chunks)
            {
                if (asked.Add(chunk) && !_index.HasHealthy(chunk)) missing.Add(chunk);
            }
        }
        return Task.FromResult(new ChunkPresence(missing, 1, 1));
    }

    public async Task<ReadOnlyMemory<byte>> ReadChunkAsync(Digest chunk, CancellationToken cancellationToken = default)
    {
        ChunkCorruptException? damage = null;
        var tried = new HashSet<HeldShard>();
        while (NextPlace(chunk, tried) is { } place)
        {
            try
            {
                return await ReadFrameAsync(chunk, place, cancellationToken);
            }
            catch (ChunkCorruptException corrupt)
            {
                Interlocked.Increment(ref _corruptionsFound);
                Quarantine(place.Shard);
                damage ??= corrupt;
            }
            catch (Exception lost) when (lost is FileNotFoundException or DirectoryNotFoundException)
            {
                Forget(place.Shard);
            }
        }
        throw damage ?? (Exception)new ArtifactMissingException(chunk, 1);
    }

    public Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            IReadOnlyList<ShardInfo> shards = [.. _held.Values.Where(shard => !shard.Quarantined).Select(shard => new ShardInfo(shard.Id, shard.LengthBytes)).OrderBy(shard => shard.Id)];
            return Task.FromResult(shards);
        }
    }

    public Task<Stream> OpenShardAsync(Digest shardId, CancellationToken cancellationToken = default)
    {
        HeldShard? shard;
        lock (_gate) _held.TryGetValue(shardId, out shard);
        if (shard is null || shard.Quarantined) throw new ArtifactMissingException(shardId, 1);
        try
        {
            return Task.FromResult<Stream>(new FileStream(shard.Path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0, FileOptions.SequentialScan));
        }
        catch (Exception lost) when (lost is FileNotFoundException or DirectoryNotFoundException)
        {
            Forget(shard);
            throw new ArtifactMissingException(shardId, 1);
        }
    }

    /// <summary>Reads every byte of every healthy shard, and sets aside those that are damaged or gone.</summary>
    /// <returns>The shards found damaged.</returns>
    public async Task<IReadOnlyList<Digest>> ScrubAsync(CancellationToken cancellationToken = default)
    {
        var damaged = new List<Digest>();
        foreach (var (id, length) in await ListShardsAsync(cancellationToken))
        {
            try
            {
                await using var file = await OpenShardAsync(id, cancellationToken);
                var table = await ShardReader.VerifyAsync(file, file.Length, copyTo: null, cancellationToken);
                if (table.Id != id || file.Length != length) throw new ShardInvalidException("it is another shard than its name says");
            }
            catch (ArtifactMissingException)
            {
                damaged.Add(id);
            }
            catch (ShardInvalidException)
            {
                Interlocked.Increment(ref _corruptionsFound);
                HeldShard? shard;
                lock (_gate) _held.TryGetValue(id, out shard);
                if (shard is not null) Quarantine(shard);
                damaged.Add(id);
            }
        }
        return damaged;
    }

    public void Dispose()
    {
        _lock.Dispose();
        _reads.Dispose();
    }

    private async Task<ReadOnlyMemory<byte>> ReadFrameAsync(Digest chunk, ChunkPlace place, CancellationToken cancellationToken)
    {
        var buffer = new byte[ShardFrame.HeaderBytes + place.StoredLength];
        await _reads.WaitAsync(cancellationToken);
        try
        {
            // Twice, because what a cable or a cache garbled once is often right the second time; what the disk holds is not.
            var fault = await ReadOnceAsync() is null ? null : await ReadOnceAsync();
            return fault is null ? buffer.AsMemory(ShardFrame.HeaderBytes) : throw new ChunkCorruptException(chunk, place.Shard.Id, place.Shard.Path, fault);
        }
        finally
        {
            _reads.Release();
        }

        async Task<string?> ReadOnceAsync()
        {
            try
            {
                using var file = File.OpenHandle(place.Shard.Path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
                for (var read = 0; read < buffer.Length;)
                {
                    var count = await RandomAccess.ReadAsync(file, buffer.AsMemory(read), place.Offset + read, cancellationToken);
                    if (count == 0) return "the file is cut short";
                    read += count;
                }
            }
            catch (IOException error) when (error is not (FileNotFoundException or DirectoryNotFoundException))
            {
                return error.Message;
            }
            if (ShardFrame.ReadHeader(buffer, out var frame) is { } badHeader) return badHeader;
            if (frame.Chunk != chunk || frame.StoredLength != place.StoredLength) return "another chunk lies in its place";
            return frame.Check(buffer.AsSpan(ShardFrame.HeaderBytes));
        }
    }

    private ChunkPlace? NextPlace(Digest chunk, HashSet<HeldShard> tried)
    {
        lock (_gate)
        {
            foreach (var place in _index.Places(chunk))
            {
                if (tried.Add(place.Shard)) return place;
            }
            return null;
        }
    }

    /// <summary>Sets a shard aside: no longer offered or counted, its whole frames still readable.</summary>
    private void Quarantine(HeldShard shard)
    {
        lock (_publishing)
        {
            lock (_gate)
            {
                if (shard.Quarantined || !_held.TryGetValue(shard.Id, out var held) || held != shard) return;
            }
            var aside = Path.Combine(_quarantineDirectory, Path.GetFileName(shard.Path));
            try
            {
                File.Move(shard.Path, aside, overwrite: true);
            }
            catch (Exception lost) when (lost is FileNotFoundException or DirectoryNotFoundException)
            {
                Forget(shard);
                return;
            }
            lock (_gate)
            {
                shard.Path = aside;
                shard.Quarantined = true;
            }
        }
    }

    private void Forget(HeldShard shard)
    {
        lock (_gate)
        {
            if (_held.TryGetValue(shard.Id, out var held) && held == shard) _held.Remove(shard.Id);
            _index.Remove(shard);
        }
    }
}
