using System.Text.Json.Serialization;
using Aisle.Artifacts;
using Aisle.Ledger;

namespace Aisle.Jobs;

/// <summary>One process of a job that a node shall run. The agent adds where and with what token, and hands it to the process on standard input.</summary>
public sealed record ProcessOrder
{
    public required JobId Job { get; init; }

    /// <summary>Unique within the job, never reused: <c>w1</c>, <c>w2</c>, …</summary>
    public required string Process { get; init; }

    public required string Title { get; init; }

    public required JobKind Kind { get; init; }

    /// <summary>Artifact that holds the job's spec.</summary>
    public required Digest Spec { get; init; }

    /// <summary>Where a training worker finds its coordinator, as <c>host:port</c>.</summary>
    public string? Coordinator { get; init; }

    /// <summary>Shared by the workers of one training job and its coordinator; on no command line and in no log.</summary>
    public string? Secret { get; init; }

    [JsonIgnore]
    public ProcessKey Key => new(Job, Process);

    // A record prints all its fields; this one must not print its secret.
    public override string ToString() => $"{Job}/{Process} ({Title})";
}

public readonly record struct ProcessKey(JobId Job, string Process)
{
    public override string ToString() => $"{Job}/{Process}";
}

/// <summary>What the process reads as its first line: the order, and how to reach the node it runs on.</summary>
public sealed record ProcessStart(ProcessOrder Order, string Node, Uri Server, string Token, string Scratch)
{
    public override string ToString() => Order.ToString();
}

/// <summary>One line of a process's standard output, as NDJSON. Absent fields say nothing.</summary>
public sealed record ProcessMessage
{
    /// <summary><c>log</c>, <c>progress</c>, <c>ready</c>, <c>result</c> or <c>failed</c>.</summary>
    public required string Type { get; init; }

    public string? Text { get; init; }

    public double? Done { get; init; }

    public double? Total { get; init; }

    public string? Unit { get; init; }

    /// <summary>Where a replica answers.</summary>
    public Uri? Url { get; init; }

    public IReadOnlyDictionary<string, Digest>? Outputs { get; init; }

    public RecordCounts? Counts { get; init; }
}

/// <summary>A process as its node sees it now.</summary>
/// <param name="Url">Where it answers, once it said it is ready.</param>
/// <param name="ExitCode">Null while it runs; 128 + signal when a signal ended it.</param>
public sealed record ProcessView(JobId Job, string Process, int Pid, Uri? Url = null, int? ExitCode = null)
{
    [JsonIgnore]
    public ProcessKey Key => new(Job, Process);
}

/// <summary>A line that a process wrote, or its end (<paramref name="Message"/> null).</summary>
/// <param name="LastWords">Tail of its standard error when it ended badly.</param>
public sealed record ProcessEvent(JobId Job, string Process, DateTimeOffset At, ProcessMessage? Message = null, int? ExitCode = null, string? LastWords = null);

/// <summary>What a node tells the first node, every second and whenever something happened.</summary>
/// <param name="Incarnation">New with each start of the node's process: its earlier processes died with it.</param>
public sealed record AgentReport(
    string Node, string Incarnation, Uri Url, int Pid, string Dir, int Slots, int Cores, string NumericClass,
    int Shards, long StoredBytes, long FreeBytes, long CorruptionsFound, long Repaired,
    IReadOnlyList<ProcessView> Processes, IReadOnlyList<ProcessEvent> Events);

/// <summary>What the first node answers: every process that shall run there now, and who else is there.</summary>
/// <param name="Version">A node that has this version may be kept waiting for the next.</param>
/// <param name="Processes">Null while a first node that was just started does not know yet: whatever runs goes on.</param>
public sealed record AgentOrders(OrdersVersion Version, IReadOnlyList<ProcessOrder>? Processes, IReadOnlyList<PeerNode> Nodes);

/// <param name="Fleet">The life of the first node that counts; another one counts from 1 again.</param>
public readonly record struct OrdersVersion(string Fleet, long Number);

public sealed record PeerNode(string Name, Uri Url, bool Up);
