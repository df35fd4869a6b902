using System.Text.Json.Serialization;

namespace Aisle.Node;

/// <summary>What a node process is told as the first line of its standard input. When that input ends, so does the node.</summary>
public sealed record NodeConfig
{
    public required string Name { get; init; }

    /// <summary>Folder of this node: its shards and scratch files.</summary>
    public required string Dir { get; init; }

    /// <summary>Address to listen on; port 0 takes a free one.</summary>
    public required Uri Listen { get; init; }

    public required string Token { get; init; }

    /// <summary>The first node's address; null on the first node itself.</summary>
    public Uri? Head { get; init; }

    /// <summary>Folder of the ledger, on the first node.</summary>
    public string? LedgerDir { get; init; }

    /// <summary>Copies kept of each shard.</summary>
    public int Copies { get; init; } = 3;

    /// <summary>Nodes of this data centre: with one copy nothing is acknowledged where more nodes are expected, heard of or not.</summary>
    public int ExpectedNodes { get; init; } = 1;

    /// <summary>Processes this node takes at once.</summary>
    public int Slots { get; init; } = Math.Max(2, Environment.ProcessorCount);

    // A record prints all its fields; this one must not print its token.
    public override string ToString() => $"{Name} in {Dir} on {Listen}";
}

/// <summary>What a node prints as its one line of standard output when it serves.</summary>
public sealed record NodeReady(string Name, Uri Url, int Pid);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(NodeConfig))]
[JsonSerializable(typeof(NodeReady))]
internal sealed partial class NodeJson : JsonSerializerContext;
