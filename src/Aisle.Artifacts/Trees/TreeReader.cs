using System.Runtime.CompilerServices;

namespace Aisle.Artifacts;

/// <summary>A chunk's place in an entry. A chunk of no bytes stands for an empty entry.</summary>
internal readonly record struct PlacedChunk(TreeEntry Entry, Digest Digest, long Offset, int LengthBytes);

/// <summary>Walks trees in a store from the top down, checking each node against what its parent said of it. Memory: one node a level.</summary>
internal static class TreeReader
{
    /// <summary>Entries in order of path.</summary>
    public static async IAsyncEnumerable<TreeEntry> EntriesAsync(IContentStore store, RootNode root, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        if (root.Entries == 0) yield break;
        var order = new PathOrder();
        var open = new Stack<(DirectoryItem[] Items, int Next, int Height)>();
        open.Push((await ReadAsync(new DirectoryItem(default, root.Directory, root.Entries, root.Bytes), root.Height), 0, root.Height));
        while (open.TryPop(out var node))
        {
            if (node.Height == 1)
            {
                foreach (var item in node.Items)
                {
                    if (order.Fault(item.Entry.Path) is { } fault) throw new ArtifactInvalidException(fault);
                    yield return item.Entry;
                }
                continue;
            }
            if (node.Next + 1 < node.Items.Length) open.Push(node with { Next = node.Next + 1 });
            var child = node.Items[node.Next];
            open.Push((await ReadAsync(child, node.Height - 1), 0, node.Height - 1));
        }

        async ValueTask<DirectoryItem[]> ReadAsync(DirectoryItem item, int height) =>
            DecodePage(await store.ReadChunkAsync(item.Node, cancellationToken), item, height);
    }

    /// <summary>The entry of that path, or null. Reads one node a level.</summary>
    public static async ValueTask<TreeEntry?> FindAsync(IContentStore store, RootNode root, string path, CancellationToken cancellationToken)
    {
        if (root.Entries == 0) return null;
        var at = new DirectoryItem(default, root.Directory, root.Entries, root.Bytes);
        for (var height = root.Height; ; height--)
        {
            var items = DecodePage(await store.ReadChunkAsync(at.Node, cancellationToken), at, height);
            var last = Array.FindLastIndex(items, item => EntryPath.Compare(item.Entry.Path, path) <= 0);
            if (last < 0) return null;
            if (height == 1) return items[last].Entry.Path == path ? items[last].Entry : null;
            at = items[last];
        }
    }

    /// <summary>An entry's chunks in order, from the one that holds byte <paramref name="offset"/>. An empty entry gives one chunk of no bytes.</summary>
    public static async IAsyncEnumerable<PlacedChunk> ChunksAsync(
        IContentStore store, TreeEntry entry, long offset = 0, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        if (entry.SizeBytes == 0)
        {
            yield return new PlacedChunk(entry, default, 0, 0);
            yield break;
        }
        var open = new Stack<(ContentRef Item, long Offset, int Height)>();
        open.Push((new ContentRef(entry.Content, entry.SizeBytes), 0, entry.Height));
        while (open.TryPop(out var at))
        {
            if (at.Offset + at.Item.LengthBytes <= offset) continue;
            if (at.Height == 0)
            {
                yield return new PlacedChunk(entry, at.Item.Digest, at.Offset, (int)at.Item.LengthBytes);
                continue;
            }
            var node = await store.ReadChunkAsync(at.Item.Digest, cancellationToken);
            var items = ContentNode.Decode(node.Span, at.Height, at.Item.LengthBytes);
            var end = at.Offset + at.Item.LengthBytes;
            foreach (var item in items.Reverse()) open.Push((item, end -= item.LengthBytes, at.Height - 1));
        }
    }

    private static DirectoryItem[] DecodePage(ReadOnlyMemory<byte> node, DirectoryItem parent, int height)
    {
        var items = DirectoryNode.Decode(node.Span, height, parent.Entries, parent.Bytes);
        // The root names no first path; every other parent does, and FindAsync has relied on it.
        return parent.Entry.Path is null || parent.Entry.Path == items[0].Entry.Path
            ? items
            : throw new ArtifactInvalidException($"a directory node begins at '{items[0].Entry.Path}', not at the '{parent.Entry.Path}' its parent says");
    }
}
