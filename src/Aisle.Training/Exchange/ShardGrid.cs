namespace Aisle.Training.Exchange;

/// <summary>
/// How a model's parameters are cut into shards: pieces that one member sums, and that travel as one frame. It depends on the number of
/// parameters alone, so a death moves whole shards and nothing is cut anew.
/// </summary>
public readonly record struct ShardGrid
{
    /// <summary>256 KiB of float32: pieces of this size travel best.</summary>
    public const int MaxShardElements = 65536;
    private const int MinShardElements = 256;
    private const int AimedShards = 32; // enough to divide evenly among a dozen members

    public ShardGrid(int elements)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(elements, 1);
        Elements = elements;
        var aimed = (elements / AimedShards + MinShardElements - 1) / MinShardElements * MinShardElements;
        ShardElements = Math.Clamp(aimed, MinShardElements, MaxShardElements);
        Count = (int)(((long)elements + ShardElements - 1) / ShardElements);
    }

    private ShardGrid(int elements, int shardElements)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(elements, 1);
        (Elements, ShardElements, Count) = (elements, shardElements, (int)(((long)elements + shardElements - 1) / shardElements));
    }

    /// <summary>For members that are always the same: as few shards as give each member its part.</summary>
    public static ShardGrid For(int elements, int members)
    {
        var part = ((long)elements + members - 1) / members;
        return new ShardGrid(elements, (int)Math.Clamp((part + MinShardElements - 1) / MinShardElements * MinShardElements, MinShardElements, MaxShardElements));
    }

    public int Elements { get; }

    /// <summary>Of every shard but the last, which may be shorter.</summary>
    public int ShardElements { get; }

    public int Count { get; }

    public int Offset(int shard) => shard * ShardElements;

    public int Length(int shard) => Math.Min(ShardElements, Elements - Offset(shard));
}
