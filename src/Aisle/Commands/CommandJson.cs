using System.Text.Json.Serialization;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Monitoring;
using Aisle.Training.Checkpoints;

namespace Aisle.Commands;

// What `--json` prints where it is not a view of the API. Fields may be added, none taken away.

internal sealed record PutView(string Name, Digest Digest, long Bytes, long StoredBytes, long Chunks, long NewChunks, int Copies, int Wanted);

internal sealed record GetView(string Name, Digest Digest, string Path, long Bytes);

internal sealed record RunFinishedView(string Event, string Job, string State, IReadOnlyDictionary<string, Digest> Outputs, string? Error = null);

/// <param name="Reexecuted">Null where the re-execution gave no output.</param>
/// <param name="FromStep">Null where the work has no steps; so is <paramref name="ToStep"/>.</param>
internal sealed record VerifyFinishedView(
    string Event,
    bool Ok,
    Digest Expected,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] Digest? Reexecuted,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long? FromStep,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long? ToStep,
    string Job,
    string State,
    string? Error = null,
    IReadOnlyList<StretchOutcomeView>? Stretches = null,
    int? Of = null,
    int? Seed = null);

/// <summary>One stretch of a sampled verification.</summary>
internal sealed record StretchOutcomeView(
    long FromStep, long ToStep, bool Ok, Digest Expected, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] Digest? Reexecuted, string Job, string State, string? Error = null);

internal sealed record TraceView(string Path, int Steps, long StepsLeftOut, int Workers, int Events);

internal sealed record TensorBoardView(string Path, int Steps);

/// <param name="FirstDifferentStep">Null where no step differs.</param>
/// <param name="Tensor">The first that differs at <paramref name="TensorsAtStep"/>; null where no two states could be compared.</param>
/// <param name="WrongRun">The run whose own step does not come out again; null where both do, or that was not tried.</param>
internal sealed record BisectView(
    bool Same,
    string First,
    string Second,
    int StepsCompared,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long? LastSameStep,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long? FirstDifferentStep,
    long? TensorsAtStep = null,
    string? Tensor = null,
    string? WrongRun = null,
    IReadOnlyList<string>? SpecDifferences = null,
    IReadOnlyList<TensorDifference>? Tensors = null,
    string? Summary = null);

internal sealed record ShowNameView(
    string? Name, Digest Digest, int? Version, DateTimeOffset? At, string? By, IReadOnlyDictionary<string, Digest>? Aliases,
    long Bytes, long Entries, IReadOnlyDictionary<string, string> Metadata, IReadOnlyList<EntryView> Files);

internal sealed record AnswerView(string Endpoint, string Text, string? FinishReason);

/// <param name="Event"><c>started</c> with a worker and its process, or <c>finished</c>, the last.</param>
internal sealed record LaunchView(string Event, string? Worker = null, int? Pid = null, bool? Ok = null, Digest? Model = null, string? Folder = null, string? Error = null);

internal sealed record FindingView(string Check, bool Ok, string Found, string? Fix);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(PutView))]
[JsonSerializable(typeof(GetView))]
[JsonSerializable(typeof(RunFinishedView))]
[JsonSerializable(typeof(VerifyFinishedView))]
[JsonSerializable(typeof(ShowNameView))]
[JsonSerializable(typeof(AnswerView))]
[JsonSerializable(typeof(LaunchView))]
[JsonSerializable(typeof(IReadOnlyList<FindingView>))]
[JsonSerializable(typeof(TraceView))]
[JsonSerializable(typeof(TensorBoardView))]
[JsonSerializable(typeof(BisectView))]
[JsonSerializable(typeof(StragglerReport))]
internal sealed partial class CommandJson : JsonSerializerContext;
