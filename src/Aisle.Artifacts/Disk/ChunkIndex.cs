namespace Aisle.Artifacts;

/// <summary>A shard file on this disk. Mutable under the store's gate: setting it aside changes where it lies.</summary>
internal sealed class HeldShard(Digest id, string path, long lengthBytes)
{
    public Digest Id { get; } = id;

    public long LengthBytes { get; } = lengthBytes;

    public string Path { get; set; } = path;

    public bool Quarantined { get; set; }
}

internal readonly record struct ChunkPlace(HeldShard Shard, int Offset, int StoredLength);

/// <summary>Where each chunk lies, made from the shards' footers; about 80 bytes of memory a chunk. Guarded by its owner.</summary>
internal sealed class ChunkIndex
{
    private readonly Dictionary<Digest, ChunkPlace> _first = [];
    private readonly Dictionary<Digest, List<ChunkPlace>> _others = []; // the few chunks that lie in several shards

    public void Add(HeldShard shard, IEnumerable<ShardSlot> slots)
    {
        foreach (var slot in slots)
        {
            var place = new ChunkPlace(shard, slot.Offset, slot.StoredLength);
            if (_first.TryAdd(slot.Chunk, place)) continue;
            if (!_others.TryGetValue(slot.Chunk, out var others)) _others[slot.Chunk] = others = [];
            others.Add(place);
        }
    }

    public void Remove(HeldShard shard)
    {
        foreach (var (chunk, others) in _others)
        {
            others.RemoveAll(place => place.Shard == shard);
            if (others.Count == 0) _others.Remove(chunk);
        }
        foreach (var (chunk, place) in _first)
        {
            if (place.Shard != shard) continue;
            if (_others.TryGetValue(chunk, out var others))
            {
                _first[chunk] = others[^1];
                others.RemoveAt(others.Count - 1);
                if (others.Count == 0) _others.Remove(chunk);
            }
            else _first.Remove(chunk);
        }
    }

    public bool HasHealthy(Digest chunk) =>
        _first.TryGetValue(chunk, out var first)
        && (!first.Shard.Quarantined || (_others.TryGetValue(chunk, out var others) && others.Exists(place => !place.Shard.Quarantined)));

    /// <summary>Healthy shards first.</summary>
    public ChunkPlace[] Places(Digest chunk)
    {
        if (!_first.TryGetValue(chunk, out var first)) return [];
        return _others.TryGetValue(chunk, out var others) ? [.. others.Append(first).OrderBy(place => place.Shard.Quarantined)] : [first];
    }
}
