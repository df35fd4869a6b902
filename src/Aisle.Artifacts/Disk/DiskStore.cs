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
        List<Digest> asked = [.. chunks.Distinct()];
        HashSet<HeldShard> shards = [];
        lock (_gate)
        {
            foreach (var chunk in asked) shards.UnionWith(_index.Places(chunk).Select(place => place.Shard));
        }
        foreach (var shard in shards) CheckFile(shard); // someone will count on them, so the index's word is not enough
        lock (_gate) return Task.FromResult(new ChunkPresence([.. asked.Where(chunk => !_index.HasHealthy(chunk))], 1, 1));
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
                // Gone, or set aside by another read between the look-up and the open: then it is tried where it lies now.
                if (CheckFile(place.Shard)) tried.Remove(place.Shard);
            }
        }
        throw damage ?? (Exception)new ArtifactMissingException(chunk, 1);
    }

    /// <summary>Only shards whose files are there, at their full length: a repair round sees what was lost though nobody has read it.</summary>
    public Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default)
    {
        HeldShard[] held;
        lock (_gate) held = [.. _held.Values];
        foreach (var shard in held) CheckFile(shard);
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
            CheckFile(shard);
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
            catch (IOException error) when (Posix.IsMediaError(error))
            {
                return error.Message;
            }
            catch (Exception error) when (error is IOException and not (FileNotFoundException or DirectoryNotFoundException) or UnauthorizedAccessException)
            {
                // Too many open files, a permission: the copy may be sound, so it is not set aside.
                throw new AisleException("AISLE-1016", $"Shard {place.Shard.Id.Short} of '{Root}' cannot be read: {error.Message}", "Free what the system lacks, or correct the permissions.", error);
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

    /// <summary>Stops counting on a shard whose file is gone or was cut short.</summary>
    /// <returns>Whether there is a file to read from.</returns>
    private bool CheckFile(HeldShard shard)
    {
        if (IsWhole(shard)) return true;
        lock (_publishing)
        {
            var file = new FileInfo(shard.Path);
            if (!file.Exists) Forget(shard);
            else if (file.Length != shard.LengthBytes) Quarantine(shard);
            return file.Exists;
        }

        static bool IsWhole(HeldShard shard) => new FileInfo(shard.Path) is { Exists: true } file && file.Length == shard.LengthBytes;
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
