namespace Aisle.Artifacts;

/// <summary>
/// Builds a tree over a long list, level by level, as the list streams by. Nodes end where the items themselves say, so an insertion
/// rewrites the nodes on one path to the root and no others. Memory: one unfinished node a level.
/// </summary>
/// <typeparam name="TItem">What a node lists: at level 0 the things themselves, above it the nodes of the level below.</typeparam>
/// <param name="store">Keeps an encoded node and returns its digest.</param>
internal abstract class MerkleBuilder<TItem>(Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask<Digest>> store)
{
    public const int MaxItems = 1024;
    public const int MaxHeight = 8; // 64 items a node at least: 8 levels are beyond any disk
    private const int MinItems = 64;

    // A node is stored as one chunk; this and one largest item more stay below a chunk's 256 KiB.
    private const int FullBytes = 192 * 1024;

    private readonly List<Level> _levels = [new()];

    public ValueTask AddAsync(TItem item, CancellationToken cancellationToken) => AddAsync(0, item, cancellationToken);

    /// <summary>Closes what is open.</summary>
    /// <param name="minHeight">0 to let a single item stand for itself, 1 to wrap it in a node.</param>
    /// <returns>The top item and its height: 0 an item itself, 1 a node of items, and so on. Null for an empty list.</returns>
    public async ValueTask<(TItem Top, int Height)?> FinishAsync(int minHeight, CancellationToken cancellationToken)
    {
        for (var level = 0; ; level++)
        {
            var items = _levels[level].Items;
            if (level == _levels.Count - 1)
            {
                if (items.Count == 0) return null;
                if (items.Count == 1 && level >= minHeight) return (items[0], level);
            }
            if (items.Count > 0) await CloseAsync(level, cancellationToken);
        }
    }

    protected abstract byte[] Encode(int level, IReadOnlyList<TItem> items);

    /// <summary>How the level above lists the node of these items.</summary>
    protected abstract TItem Summarise(Digest node, IReadOnlyList<TItem> items);

    /// <summary>A number drawn from the item's content; a node may end after an item where its lowest 8 bits are zero.</summary>
    protected abstract int Fingerprint(TItem item);

    /// <summary>Bytes the item takes in a node, or a little more.</summary>
    protected abstract int EncodedBytes(TItem item);

    protected static int Fingerprint(Digest digest)
    {
        Span<byte> bytes = stackalloc byte[Digest.SizeBytes];
        digest.CopyTo(bytes);
        return bytes[^1];
    }

    private async ValueTask AddAsync(int level, TItem item, CancellationToken cancellationToken)
    {
        if (level == _levels.Count) _levels.Add(new Level());
        var open = _levels[level];
        open.Items.Add(item);
        open.Bytes += EncodedBytes(item);
        var full = open.Items.Count >= MaxItems || open.Bytes >= FullBytes;
        if (full || (open.Items.Count >= MinItems && (Fingerprint(item) & 0xFF) == 0)) await CloseAsync(level, cancellationToken);
    }

    private async ValueTask CloseAsync(int level, CancellationToken cancellationToken)
    {
        var open = _levels[level];
        var node = await store(Encode(level, open.Items), cancellationToken);
        var summary = Summarise(node, open.Items);
        open.Items.Clear();
        open.Bytes = 0;
        await AddAsync(level + 1, summary, cancellationToken);
    }

    private sealed class Level
    {
        public readonly List<TItem> Items = [];
        public int Bytes;
    }
}
