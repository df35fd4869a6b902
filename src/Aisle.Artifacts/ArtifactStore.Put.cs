using System.Collections.Immutable;

namespace Aisle.Artifacts;

public sealed partial class ArtifactStore
{
    /// <summary>Stores a file or a folder. The digest depends on paths, bytes and metadata alone: not on times, owners, order or machine.</summary>
    /// <param name="path">A file becomes an artifact with the one entry of its name. Empty folders inside a folder are not kept.</param>
    /// <param name="metadata">At most 256 short texts (64 KiB in all).</param>
    /// <param name="progress">Told after each chunk, on whatever thread that is.</param>
    /// <exception cref="AisleException">AISLE-1007: a name is refused; AISLE-1008: something cannot be read, is a link, or changed meanwhile; AISLE-1014: metadata too large.</exception>
    /// <remarks>Cancelled or failed, it leaves chunks in the store that nothing names; putting again uses them.</remarks>
    public async Task<PutResult> PutAsync(
        string path, IReadOnlyDictionary<string, string>? metadata = null, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var checkedMetadata = RootNode.CheckMetadata(metadata);
        var files = SourceTree.List(path);
        var total = files.Sum(file => file.LengthBytes);
        await using var upload = new Upload(store, TemporaryDirectory, cancellationToken);
        var directory = new DirectoryBuilder((node, _) => upload.AddNodeAsync(node));
        var chunker = new Chunker();
        long done = 0;
        foreach (var file in files)
        {
            await using var content = SourceTree.Open(file.FullPath, file.Path);
            var entry = await PutEntryAsync(upload, chunker, file, content, done, total, progress, cancellationToken);
            await directory.AddAsync(new DirectoryItem(entry, default, 1, entry.SizeBytes), cancellationToken);
            done += entry.SizeBytes;
        }
        progress?.Report(new TransferProgress(done, total, null));
        return await FinishAsync(upload, directory, files.Count, done, checkedMetadata, cancellationToken);
    }

    /// <summary>Stores an artifact of one entry from memory.</summary>
    /// <exception cref="AisleException">AISLE-1007: the name is refused; AISLE-1014: metadata too large.</exception>
    public async Task<PutResult> PutBytesAsync(
        string entryName, ReadOnlyMemory<byte> content, IReadOnlyDictionary<string, string>? metadata = null, CancellationToken cancellationToken = default)
    {
        var checkedMetadata = RootNode.CheckMetadata(metadata);
        EntryPath.Check(entryName);
        await using var upload = new Upload(store, TemporaryDirectory, cancellationToken);
        var directory = new DirectoryBuilder((node, _) => upload.AddNodeAsync(node));
        var tree = new ContentBuilder((node, _) => upload.AddNodeAsync(node));
        for (var rest = content; !rest.IsEmpty;)
        {
            var length = Chunker.CutLength(rest.Span);
            await tree.AddAsync(new ContentRef(await upload.AddAsync(rest[..length]), length), cancellationToken);
            rest = rest[length..];
        }
        var entry = await EntryOf(tree, entryName, content.Length, cancellationToken);
        await directory.AddAsync(new DirectoryItem(entry, default, 1, entry.SizeBytes), cancellationToken);
        return await FinishAsync(upload, directory, 1, entry.SizeBytes, checkedMetadata, cancellationToken);
    }

    private string TemporaryDirectory => temporaryDirectory ?? Path.GetTempPath();

    private static async Task<TreeEntry> PutEntryAsync(
        Upload upload, Chunker chunker, SourceFile file, FileStream content, long doneBefore, long total, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        var tree = new ContentBuilder((node, _) => upload.AddNodeAsync(node));
        long size = 0;
        await foreach (var chunk in chunker.SplitAsync(content, cancellationToken))
        {
            size += chunk.Length;
            if (size > file.LengthBytes) break;
            await tree.AddAsync(new ContentRef(await upload.AddAsync(chunk), chunk.Length), cancellationToken);
            progress?.Report(new TransferProgress(doneBefore + size, total, file.Path));
        }
        if (size != file.LengthBytes)
            throw new AisleException("AISLE-1008", $"'{file.Path}' changed while it was read: it had {file.LengthBytes:N0} bytes at the start.", "Put it again when nothing writes to it.");
        return await EntryOf(tree, file.Path, size, cancellationToken);
    }

    private static async Task<TreeEntry> EntryOf(ContentBuilder tree, string path, long size, CancellationToken cancellationToken) =>
        await tree.FinishAsync(minHeight: 0, cancellationToken) is var (top, height) ? new TreeEntry(path, size, top.Digest, height) : new TreeEntry(path, 0, default, 0);

    private static async Task<PutResult> FinishAsync(
        Upload upload, DirectoryBuilder directory, long entries, long bytes, ImmutableSortedDictionary<string, string> metadata, CancellationToken cancellationToken)
    {
        var (top, height) = await directory.FinishAsync(minHeight: 1, cancellationToken) ?? default;
        var root = await upload.AddNodeAsync(new RootNode(entries, bytes, top.Node, height, metadata).Encode());
        var promise = await upload.FinishAsync();
        return new PutResult(root, bytes, upload.StoredBytes, upload.Chunks, upload.NewChunks, promise.Copies, promise.Wanted);
    }
}
