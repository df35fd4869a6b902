using System.Diagnostics.CodeAnalysis;

namespace Aisle.Artifacts;

public sealed partial class DiskStore
{
    private const string Extension = ".shard";

    /// <summary>Opens a node's directory, making it if need be: empties tmp, and indexes every shard from its footer. A shard whose footer is
    /// lost is read by scan: mended if all its frames are whole, set aside otherwise.</summary>
    /// <exception cref="AisleException">AISLE-1012: the directory cannot be used, or another process has it open.</exception>
    [SuppressMessage("Reliability", "CA2000", Justification = "The lock belongs to the store that is returned.")]
    public static async Task<DiskStore> OpenAsync(string directory, CancellationToken cancellationToken = default)
    {
        var root = Path.GetFullPath(directory);
        DiskStore? store = null;
        try
        {
            Directory.CreateDirectory(root);
            store = new DiskStore(root, new FileStream(Path.Combine(root, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            await store.RecoverAsync(cancellationToken);
            return store;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            store?.Dispose();
            throw new AisleException("AISLE-1012", $"The store '{root}' cannot be opened: {error.Message}", "Stop the other node that uses it, or give this node a directory it may write to.", error);
        }
        catch
        {
            store?.Dispose();
            throw;
        }
    }

    private async Task RecoverAsync(CancellationToken cancellationToken)
    {
        if (Directory.Exists(TemporaryDirectory)) Directory.Delete(TemporaryDirectory, recursive: true);
        MakeDirectories();
        foreach (var (id, path) in ShardFiles(_shardDirectory))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (Index(id, path)) continue;
            Interlocked.Increment(ref _corruptionsFound);
            await MendAsync(id, path, cancellationToken);
        }
        foreach (var (id, path) in ShardFiles(_quarantineDirectory))
        {
            if (_held.TryGetValue(id, out var held) && !held.Quarantined) File.Delete(path); // its good copy came, and then a crash
            else if (held is null) IndexDamaged(id, path);
        }
    }

    private bool Index(Digest id, string path)
    {
        try
        {
            using var file = File.OpenHandle(path);
            var table = ShardReader.ReadFooter(file, id);
            var shard = new HeldShard(id, path, RandomAccess.GetLength(file));
            _held.Add(id, shard);
            _index.Add(shard, table.Slots);
            return true;
        }
        catch (Exception damage) when (damage is ShardInvalidException || damage is IOException error && Posix.IsMediaError(error))
        {
            return false;
        }
    }

    /// <summary>Rewrites a shard whose footer is damaged from its frames. The id proves that none is missing.</summary>
    private async Task MendAsync(Digest id, string path, CancellationToken cancellationToken)
    {
        try
        {
            if (await FromFramesAsync(path, cancellationToken) is var (whole, info) && info.Id == id)
            {
                await PutShardAsync(id, whole, info.LengthBytes, cancellationToken);
                return;
            }
        }
        catch (Exception error) when (error is IOException or AisleException)
        {
            // Unreadable, or no room for a new file: aside it goes, and a repair from another node mends it later.
        }
        File.Move(path, Path.Combine(_quarantineDirectory, Path.GetFileName(path)), overwrite: true);
    }

    private static async Task<(MemoryStream Shard, ShardInfo Info)?> FromFramesAsync(string path, CancellationToken cancellationToken)
    {
        if (new FileInfo(path).Length > ShardWriter.MaxFileBytes) return null;
        var bytes = await File.ReadAllBytesAsync(path, cancellationToken);
        var whole = new MemoryStream();
        var writer = new ShardWriter(whole);
        foreach (var slot in ShardReader.Scan(bytes))
        {
            if (writer.HasRoomFor(slot.PlainLength)) writer.Add(slot.Chunk, bytes.AsSpan(slot.Offset + ShardFrame.HeaderBytes, slot.PlainLength));
        }
        if (writer.Frames == 0) return null;
        var info = writer.Seal();
        whole.Position = 0;
        return (whole, info);
    }

    private void IndexDamaged(Digest id, string path)
    {
        try
        {
            var length = new FileInfo(path).Length;
            if (length > ShardWriter.MaxFileBytes) return;
            var slots = ShardReader.Scan(File.ReadAllBytes(path));
            var shard = new HeldShard(id, path, length) { Quarantined = true };
            _held.Add(id, shard);
            _index.Add(shard, slots);
        }
        catch (IOException error) when (Posix.IsMediaError(error))
        {
            // Not even readable: it serves nothing, and its good copy will replace it.
        }
    }

    private void MakeDirectories()
    {
        Directory.CreateDirectory(TemporaryDirectory);
        Directory.CreateDirectory(_shardDirectory);
        Directory.CreateDirectory(_quarantineDirectory);
        DurableDirectory.Flush(Root);
        if (Path.GetDirectoryName(Root) is { } parent) DurableDirectory.Flush(parent); // the store's own name must last as well
    }

    private static IEnumerable<(Digest Id, string Path)> ShardFiles(string directory)
    {
        foreach (var path in Directory.EnumerateFiles(directory, "*" + Extension).Order(StringComparer.Ordinal))
        {
            if (Digest.TryParse(Path.GetFileNameWithoutExtension(path), out var id)) yield return (id, path);
        }
    }
}
