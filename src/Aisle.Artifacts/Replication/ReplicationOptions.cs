namespace Aisle.Artifacts;

/// <summary>How many copies are kept, and how many must be on disk before a put is acknowledged.</summary>
public sealed record ReplicationOptions
{
    /// <summary>Copies kept of each shard, on as many nodes. At least 1; with fewer nodes, one on each.</summary>
    public int Copies
    {
        get;
        init => field = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(Copies), value, "Keep at least 1 copy; 3 copies survive two lost disks.");
    } = 3;

    /// <summary>Nodes the data centre is meant to have. Until as many are known, fewer copies do not count as enough: a node that has just started
    /// and not yet heard of the others must not acknowledge alone.</summary>
    public int ExpectedNodes
    {
        get;
        init => field = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(ExpectedNodes), value, "A data centre has at least 1 node.");
    } = 1;

    public Durability Durability { get; init; } = Durability.Standard;

    /// <summary>How long a node may take for a small question or one chunk; also what slower nodes get once a put has the copies it must have.</summary>
    public TimeSpan AnswerWithin { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a node may take to store one shard before another takes its place.</summary>
    public TimeSpan StoreWithin { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Copies to aim at when that many nodes are known.</summary>
    public int Wanted(int nodes) => Math.Min(Copies, Math.Max(nodes, ExpectedNodes));

    /// <summary>Copies without which nothing is acknowledged. One is enough only where there is only one node, or only one copy was asked for.</summary>
    public int Required(int nodes) => Durability == Durability.Strict ? Wanted(nodes) : Math.Min(2, Wanted(nodes));
}

public enum Durability
{
    /// <summary>Acknowledge with two copies when the third cannot be made now; repair makes it later.</summary>
    Standard,

    /// <summary>Acknowledge only with every copy wanted.</summary>
    Strict,
}
