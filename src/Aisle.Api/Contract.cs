using System.Text.Json.Serialization;
using Aisle.Artifacts;

namespace Aisle.Api;

// What travels over HTTP and what `--json` prints. Fields may be added, none taken away.

/// <summary>The data centre at a glance.</summary>
public sealed record StatusView
{
    public required string Version { get; init; }

    public required string Url { get; init; }

    /// <summary>Commands agreed so far.</summary>
    public required long LedgerRevision { get; init; }

    public required IReadOnlyList<NodeView> Nodes { get; init; }

    public required int JobsRunning { get; init; }

    public required int JobsWaiting { get; init; }

    public required int Names { get; init; }

    public required IReadOnlyList<EndpointView> Endpoints { get; init; }
}

public sealed record NodeView
{
    public required string Name { get; init; }

    /// <summary><c>up</c> or <c>down</c>.</summary>
    public required string State { get; init; }

    public required int Pid { get; init; }

    public required string Url { get; init; }

    public required string Dir { get; init; }

    public required int Cores { get; init; }

    public required int Processes { get; init; }

    public required int Shards { get; init; }

    public required long StoredBytes { get; init; }

    public required long FreeBytes { get; init; }

    /// <summary>Corrupt copies found on this node's disk since it started.</summary>
    public required long CorruptionsFound { get; init; }

    /// <summary>Copies made again on this node's disk since it started.</summary>
    public required long Repaired { get; init; }

    public required string NumericClass { get; init; }
}

public sealed record JobView
{
    public required string Job { get; init; }

    public required string Title { get; init; }

    /// <summary><c>pipeline</c>, <c>task</c>, <c>train</c> or <c>serve</c>.</summary>
    public required string Kind { get; init; }

    /// <summary><c>waiting</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</summary>
    public required string State { get; init; }

    public string? Parent { get; init; }

    /// <summary>Optimiser steps committed, for training; of the training step, for a pipeline that has one.</summary>
    public long? Step { get; init; }

    public long? Steps { get; init; }

    public double? Loss { get; init; }

    /// <summary>Processes wanted.</summary>
    public int WorkersWanted { get; init; }

    /// <summary>Processes there are; of its live children, for a pipeline.</summary>
    public IReadOnlyList<WorkerView> Workers { get; init; } = [];

    /// <summary>Workers that were shut out because they compute wrongly; of a job that runs or has ended not long ago.</summary>
    public IReadOnlyList<QuarantineView> Quarantined { get; init; } = [];

    public IReadOnlyDictionary<string, Digest> Outputs { get; init; } = new Dictionary<string, Digest>();

    public bool FromCache { get; init; }

    public string? Error { get; init; }

    public required Digest Spec { get; init; }

    public required Digest Identity { get; init; }

    public Digest? Log { get; init; }

    public CountsView? Counts { get; init; }

    public IReadOnlyList<CheckpointView> Checkpoints { get; init; } = [];

    public int Attempt { get; init; }

    public required DateTimeOffset SubmittedAt { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? FinishedAt { get; init; }

    public IReadOnlyList<string> Children { get; init; } = [];
}

/// <param name="State"><c>starting</c>, <c>running</c>, <c>lost</c> or <c>stopped</c>.</param>
public sealed record WorkerView(string Name, string Node, int Pid, string State, string Job);

/// <param name="Step">Where it was found out.</param>
public sealed record QuarantineView(string Worker, long Step, string Message);

public sealed record CheckpointView(long Step, Digest Digest);

/// <summary>Records in = out + filtered + dead.</summary>
public sealed record CountsView(long In, long Out, long Filtered, long Dead);

public sealed record NameView
{
    public required string Name { get; init; }

    public required Digest Digest { get; init; }

    public required int Version { get; init; }

    public required DateTimeOffset At { get; init; }

    public string? By { get; init; }

    public IReadOnlyDictionary<string, Digest> Aliases { get; init; } = new Dictionary<string, Digest>();
}

public sealed record NameVersionView(int Version, Digest Digest, DateTimeOffset At, IReadOnlyList<string> Aliases, string? By = null);

public sealed record MoveNameRequest(Digest Digest, int? Expected = null);

public sealed record SetAliasRequest(string Alias, string Version);

/// <param name="Sets"><c>path.in.spec=value</c> overrides, in order.</param>
/// <param name="Recompute">Do all the work again, known results or not; one that differs fails its job.</param>
public sealed record RunRequest(string Spec, IReadOnlyList<string> Sets, int? Workers = null, bool Recompute = false);

public sealed record JobAcceptedView(string Job);

public sealed record ScaleRequest(int Workers);

/// <summary>One event of a job or of a pipeline's children; absent fields say nothing. NDJSON, oldest first.</summary>
public sealed record JobEvent
{
    /// <summary><c>state</c>, <c>log</c>, <c>progress</c>, <c>step</c>, <c>workerJoined</c>, <c>workerLost</c> (its process is gone), <c>workerLeft</c> (training noticed), <c>workerQuarantined</c> (it computes wrongly), <c>recovered</c>,
    /// <c>checkpoint</c> or <c>finished</c>; <c>finished</c> of the job that was asked for is the last.</summary>
    public required string Event { get; init; }

    public required string Job { get; init; }

    public string? Title { get; init; }

    /// <summary>When the first node recorded it; strictly later than the event before.</summary>
    public DateTimeOffset? At { get; init; }

    public string? State { get; init; }

    public string? Message { get; init; }

    public long? Step { get; init; }

    public long? Steps { get; init; }

    public double? Loss { get; init; }

    public double? TokensPerSecond { get; init; }

    public double? LearningRate { get; init; }

    /// <summary>Before clipping.</summary>
    public double? GradientNorm { get; init; }

    /// <summary>XXH3-64 of the weights after the step, 16 hex digits.</summary>
    public string? WeightsHash { get; init; }

    public int? Workers { get; init; }

    public string? Worker { get; init; }

    public string? Node { get; init; }

    public int? Pid { get; init; }

    public double? Done { get; init; }

    public double? Total { get; init; }

    public string? Unit { get; init; }

    public double? Seconds { get; init; }

    public long? SlicesRecomputed { get; init; }

    public Digest? Digest { get; init; }

    public CountsView? Counts { get; init; }

    public bool? FromCache { get; init; }

    public string? Error { get; init; }

    public IReadOnlyDictionary<string, Digest>? Outputs { get; init; }
}

public sealed record ArtifactView(Digest Digest, long Bytes, int Entries, IReadOnlyDictionary<string, string> Metadata, IReadOnlyList<EntryView> Files);

public sealed record EntryView(string Path, long Bytes);

/// <summary>Where something came from, back to the bytes that were put.</summary>
public sealed record LineageView
{
    public required Digest Digest { get; init; }

    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>Port of the job that made it; null for what a person put.</summary>
    public string? Port { get; init; }

    public string? Job { get; init; }

    public string? Title { get; init; }

    public string? Program { get; init; }

    public Digest? Identity { get; init; }

    public IReadOnlyDictionary<string, string>? Parameters { get; init; }

    public CountsView? Counts { get; init; }

    public IReadOnlyDictionary<string, LineageView> Inputs { get; init; } = new Dictionary<string, LineageView>();
}

/// <param name="Target">Name or digest of an output of a job.</param>
/// <param name="FromStep">For training: re-execute all from the newest checkpoint at or before this step on, and draw no sample.</param>
/// <param name="Sample">Share of the stretches between a training run's checkpoints to re-execute, above 0 and at most 1; at 1 it is made again whole.</param>
/// <param name="Seed">Draws the sample.</param>
public sealed record VerifyRequest(string Target, double Sample, long? FromStep = null, int Seed = 0);

/// <summary>The re-execution that was started, and what it must give.</summary>
/// <param name="Stretches">Of a sample: each stretch that was drawn, the first one's job being <paramref name="Job"/>; null where all is made again in one.</param>
/// <param name="Of">How many stretches the run has.</param>
public sealed record VerifyAcceptedView(
    string Job, Digest Expected, string Output, long? FromStep = null, long? ToStep = null, IReadOnlyList<StretchView>? Stretches = null, int? Of = null);

/// <summary>A piece of a training run that is made again, from one stored state to the next or to the model.</summary>
public sealed record StretchView(string Job, Digest Expected, string Output, long FromStep, long ToStep);

/// <summary>A state of a training run that is being made again; the job's output <paramref name="Output"/> will be it.</summary>
public sealed record ReplayAcceptedView(string Job, string Output, long FromStep, long ToStep);

/// <summary>Asks for the state of a training run at a step, made again from the newest checkpoint before it.</summary>
public sealed record ReplayRequest(long ToStep);

public sealed record DeployRequest(string Model, string Endpoint, int Replicas);

public sealed record EndpointView(string Name, Digest Model, string ModelName, int Replicas, int Ready, string Job, string Url);

public sealed record ErrorView(string Code, string What, string Next);

public sealed record ErrorEnvelope(ErrorView Error);

public sealed record ShardView(Digest Id, long LengthBytes);

public sealed record ReceiptView(int Copies, int Wanted);

/// <summary>Written by <c>aisle up</c> for its owner; how the command line finds the data centre last started here.</summary>
public sealed record DataCentreFile(string Url, string TokenFile, string Dir, int Pid);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(StatusView))]
[JsonSerializable(typeof(IReadOnlyList<NodeView>))]
[JsonSerializable(typeof(JobView))]
[JsonSerializable(typeof(IReadOnlyList<JobView>))]
[JsonSerializable(typeof(NameView))]
[JsonSerializable(typeof(IReadOnlyList<NameView>))]
[JsonSerializable(typeof(IReadOnlyList<NameVersionView>))]
[JsonSerializable(typeof(MoveNameRequest))]
[JsonSerializable(typeof(SetAliasRequest))]
[JsonSerializable(typeof(RunRequest))]
[JsonSerializable(typeof(JobAcceptedView))]
[JsonSerializable(typeof(ScaleRequest))]
[JsonSerializable(typeof(JobEvent))]
[JsonSerializable(typeof(ArtifactView))]
[JsonSerializable(typeof(LineageView))]
[JsonSerializable(typeof(VerifyRequest))]
[JsonSerializable(typeof(VerifyAcceptedView))]
[JsonSerializable(typeof(ReplayRequest))]
[JsonSerializable(typeof(StretchView))]
[JsonSerializable(typeof(ReplayAcceptedView))]
[JsonSerializable(typeof(DeployRequest))]
[JsonSerializable(typeof(EndpointView))]
[JsonSerializable(typeof(IReadOnlyList<EndpointView>))]
[JsonSerializable(typeof(ErrorEnvelope))]
[JsonSerializable(typeof(IReadOnlyList<ShardView>))]
[JsonSerializable(typeof(ReceiptView))]
[JsonSerializable(typeof(DataCentreFile))]
public sealed partial class ApiJson : JsonSerializerContext;
