namespace Aisle.Artifacts;

/// <summary>A chunk, or the node over a run of chunks, with the bytes of content under it.</summary>
internal readonly record struct ContentRef(Digest Digest, long LengthBytes);

/// <summary>
/// A node of an entry's content.
/// <code>
/// leaf   01 version  count u16  { chunk 32, length u32 } × count
/// inner  02 version  level u8   count u16  { node 32, bytes u64 } × count      level 1 lists leaves
/// </code>
/// </summary>
internal static class ContentNode
{
    public static byte[] Encode(int level, IReadOnlyList<ContentRef> items)
    {
        var writer = new NodeWriter(level == 0 ? NodeKind.Leaf : NodeKind.Inner);
        if (level > 0) writer.Byte((byte)level);
        writer.U16(items.Count);
        foreach (var item in items)
        {
            writer.Digest(item.Digest);
            if (level == 0) writer.U32((int)item.LengthBytes);
            else writer.U64(item.LengthBytes);
        }
        return writer.ToArray();
    }

    /// <param name="height">1 for a leaf.</param>
    /// <param name="lengthBytes">What the node's parent says lies under it; the items must add up to it.</param>
    public static ContentRef[] Decode(ReadOnlySpan<byte> node, int height, long lengthBytes)
    {
        var leaf = height == 1;
        var reader = new NodeReader(node, leaf ? NodeKind.Leaf : NodeKind.Inner);
        if (!leaf && reader.Byte() != height - 1) throw new ArtifactInvalidException("a content node stands at the wrong level");
        var items = new ContentRef[reader.Count(MerkleBuilder<ContentRef>.MaxItems)];
        long total = 0;
        for (var i = 0; i < items.Length; i++)
        {
            var digest = reader.Digest();
            var length = leaf ? reader.U32() : reader.U64();
            if (length == 0 || (leaf && length > Chunker.MaxBytes)) throw new ArtifactInvalidException($"a chunk of {length} bytes is out of bounds");
            items[i] = new ContentRef(digest, length);
            total += length;
            if (total > lengthBytes) break;
        }
        if (total != lengthBytes) throw new ArtifactInvalidException($"a content node adds up to {total} bytes, not to the {lengthBytes} its parent says");
        reader.End();
        return items;
    }
}

internal sealed class ContentBuilder(Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask<Digest>> store) : MerkleBuilder<ContentRef>(store)
{
    protected override byte[] Encode(int level, IReadOnlyList<ContentRef> items) => ContentNode.Encode(level, items);

    protected override ContentRef Summarise(Digest node, IReadOnlyList<ContentRef> items) => new(node, items.Sum(item => item.LengthBytes));

    protected override int Fingerprint(ContentRef item) => Fingerprint(item.Digest);

    protected override int EncodedBytes(ContentRef item) => Digest.SizeBytes + sizeof(ulong);
}
