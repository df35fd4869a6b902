using System.Text;

namespace Aisle.Artifacts;

/// <summary>One file in an artifact.</summary>
/// <param name="Path">Relative, <c>/</c> between parts.</param>
/// <param name="Content">Top of its content; default when the entry is empty.</param>
/// <param name="Height">0 when <paramref name="Content"/> is the only chunk, 1 when it is a leaf over chunks, and so on.</param>
internal readonly record struct TreeEntry(string Path, long SizeBytes, Digest Content, int Height);

/// <summary>An entry, or a node over a run of entries.</summary>
/// <param name="Entry">At level 0 the entry; above, only its path is meant: the first below the node.</param>
internal readonly record struct DirectoryItem(TreeEntry Entry, Digest Node, long Entries, long Bytes);

/// <summary>
/// A node of an artifact's directory, entries in order of path.
/// <code>
/// page   03 version  count u16  { path, size u64, height u8, content 32 unless size is 0 } × count
/// index  05 version  level u8   count u16  { first path, node 32, entries u64, bytes u64 } × count      level 1 lists pages
/// path   length u16 and that many bytes of UTF-8
/// </code>
/// </summary>
internal static class DirectoryNode
{
    public static byte[] Encode(int level, IReadOnlyList<DirectoryItem> items)
    {
        var writer = new NodeWriter(level == 0 ? NodeKind.Page : NodeKind.Index);
        if (level > 0) writer.Byte((byte)level);
        writer.U16(items.Count);
        foreach (var item in items)
        {
            writer.Text(item.Entry.Path);
            if (level == 0)
            {
                writer.U64(item.Entry.SizeBytes);
                writer.Byte((byte)item.Entry.Height);
                if (item.Entry.SizeBytes > 0) writer.Digest(item.Entry.Content);
            }
            else
            {
                writer.Digest(item.Node);
                writer.U64(item.Entries);
                writer.U64(item.Bytes);
            }
        }
        return writer.ToArray();
    }

    /// <param name="height">1 for a page.</param>
    /// <param name="entries">What the parent says lies under the node, as is <paramref name="bytes"/>.</param>
    public static DirectoryItem[] Decode(ReadOnlySpan<byte> node, int height, long entries, long bytes)
    {
        var page = height == 1;
        var reader = new NodeReader(node, page ? NodeKind.Page : NodeKind.Index);
        if (!page && reader.Byte() != height - 1) throw new ArtifactInvalidException("a directory node stands at the wrong level");
        var items = new DirectoryItem[reader.Count(MerkleBuilder<DirectoryItem>.MaxItems)];
        long entriesFound = 0, bytesFound = 0;
        for (var i = 0; i < items.Length; i++)
        {
            var path = reader.Text();
            if (EntryPath.Fault(path) is { } fault) throw new ArtifactInvalidException($"entry '{path}' is refused: {fault}");
            items[i] = page ? ReadEntry(ref reader, path) : new DirectoryItem(new TreeEntry(path, 0, default, 0), reader.Digest(), reader.U64(), reader.U64());
            entriesFound += items[i].Entries;
            bytesFound += items[i].Bytes;
            if (items[i].Entries == 0 || entriesFound > entries || bytesFound > bytes) break;
        }
        if (entriesFound != entries || bytesFound != bytes)
            throw new ArtifactInvalidException($"a directory node adds up to {entriesFound} entries of {bytesFound} bytes, not to the {entries} of {bytes} its parent says");
        reader.End();
        return items;
    }

    private static DirectoryItem ReadEntry(ref NodeReader reader, string path)
    {
        var size = reader.U64();
        var height = reader.Byte();
        if (height > MerkleBuilder<ContentRef>.MaxHeight || (size == 0 && height != 0)) throw new ArtifactInvalidException($"entry '{path}' has a tree of height {height}");
        if (height == 0 && size > Chunker.MaxBytes) throw new ArtifactInvalidException($"entry '{path}' is one chunk of {size} bytes");
        return new DirectoryItem(new TreeEntry(path, size, size > 0 ? reader.Digest() : default, height), default, 1, size);
    }
}

/// <summary>Entries must come in order of path.</summary>
internal sealed class DirectoryBuilder(Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask<Digest>> store) : MerkleBuilder<DirectoryItem>(store)
{
    protected override byte[] Encode(int level, IReadOnlyList<DirectoryItem> items) => DirectoryNode.Encode(level, items);

    protected override DirectoryItem Summarise(Digest node, IReadOnlyList<DirectoryItem> items) =>
        new(new TreeEntry(items[0].Entry.Path, 0, default, 0), node, items.Sum(item => item.Entries), items.Sum(item => item.Bytes));

    // By path, not by content: changing a file must not move the page ends.
    protected override int Fingerprint(DirectoryItem item) => Fingerprint(Digest.Of(item.Entry.Path));

    protected override int EncodedBytes(DirectoryItem item) => Encoding.UTF8.GetByteCount(item.Entry.Path) + 64;
}
