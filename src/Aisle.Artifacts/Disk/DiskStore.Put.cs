namespace Aisle.Artifacts;

public sealed partial class DiskStore
{
    /// <inheritdoc/>
    /// <exception cref="AisleException">AISLE-1015: the disk failed to flush; until the store is opened anew nothing more is written to it.</exception>
    public async Task<ShardReceipt> PutShardAsync(Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            if (_held.TryGetValue(shardId, out var held) && !held.Quarantined && File.Exists(held.Path)) return new ShardReceipt(1, 1);
        }
        RefuseAfterFailure();
        if (lengthBytes is <= 0 or > ShardWriter.MaxFileBytes) throw new ShardInvalidException($"a length of {lengthBytes} bytes is out of bounds");
        if (!Directory.Exists(TemporaryDirectory)) MakeDirectories(); // someone emptied the disk under the running node
        var temporary = Path.Combine(TemporaryDirectory, $"{shardId.Hex}-{Path.GetRandomFileName()}");
        try
        {
            var table = await WriteAsync(temporary, shardId, shard, lengthBytes, cancellationToken);
            Publish(temporary, table, lengthBytes);
            return new ShardReceipt(1, 1);
        }
        catch (IOException error) when (DiskFullException.Explains(error))
        {
            throw DiskFullException.From(error, Root, lengthBytes);
        }
        finally
        {
            File.Delete(temporary); // renamed away when all went well
        }
    }

    private async Task<ShardTable> WriteAsync(string temporary, Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken)
    {
        await using var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
        Posix.Reserve(file, lengthBytes);
        var table = await ShardReader.VerifyAsync(shard, lengthBytes, copyTo: file, cancellationToken);
        if (table.Id != shardId) throw new ShardInvalidException($"it is shard {table.Id.Short}, not {shardId.Short}");
        Flush(() => RandomAccess.FlushToDisk(file.SafeFileHandle));
        return table;
    }

    /// <summary>Renames the flushed file to its name, flushes the directory, and only then lets anyone count on it.</summary>
    private void Publish(string temporary, ShardTable table, long lengthBytes)
    {
        var path = Path.Combine(_shardDirectory, table.Id.Hex + Extension);
        lock (_publishing)
        {
            HeldShard? old;
            lock (_gate) _held.TryGetValue(table.Id, out old);
            if (old is { Quarantined: false } && File.Exists(old.Path)) return; // another put of the same shard was first
            File.Move(temporary, path, overwrite: true);
            Flush(() => DurableDirectory.Flush(_shardDirectory));
            var shard = new HeldShard(table.Id, path, lengthBytes);
            lock (_gate)
            {
                if (old is not null) Forget(old);
                _held[table.Id] = shard;
                _index.Add(shard, table.Slots);
            }
            if (old is { Quarantined: true }) File.Delete(old.Path);
        }
    }

    /// <summary>A failed flush is never tried again: the kernel may have dropped the pages and would report success.</summary>
    /// <remarks>Source: "PostgreSQL vs. fsync", FOSDEM 2019.</remarks>
    private void Flush(Action flush)
    {
        try
        {
            flush();
        }
        catch (IOException error) when (!DiskFullException.Explains(error))
        {
            _writeFailure = error;
            RefuseAfterFailure();
        }
    }

    private void RefuseAfterFailure()
    {
        if (_writeFailure is { } failure)
            throw new AisleException("AISLE-1015", $"The disk of '{Root}' failed to flush: {failure.Message}", "Check the disk (`dmesg`); restart the node once it is sound. Other nodes hold the copies meanwhile.", failure);
    }
}
