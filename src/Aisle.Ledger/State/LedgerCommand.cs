using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Aisle.Artifacts;

namespace Aisle.Ledger;

/// <summary>What can be asked of the ledger. Time comes with the command, stamped by its proposer; applying it reads no clock.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "command")]
[JsonDerivedType(typeof(MoveName), "moveName")]
[JsonDerivedType(typeof(SetAlias), "setAlias")]
[JsonDerivedType(typeof(RemoveName), "removeName")]
[JsonDerivedType(typeof(SubmitJob), "submitJob")]
[JsonDerivedType(typeof(PlaceJob), "placeJob")]
[JsonDerivedType(typeof(ScaleJob), "scaleJob")]
[JsonDerivedType(typeof(RecordCheckpoint), "recordCheckpoint")]
[JsonDerivedType(typeof(WithdrawCheckpoint), "withdrawCheckpoint")]
[JsonDerivedType(typeof(FinishJob), "finishJob")]
[JsonDerivedType(typeof(CancelJob), "cancelJob")]
[JsonDerivedType(typeof(DeployEndpoint), "deployEndpoint")]
[JsonDerivedType(typeof(RemoveEndpoint), "removeEndpoint")]
public abstract record LedgerCommand
{
    public required DateTimeOffset At { get; init; }
}

/// <summary>Adds a version to a name. Moving it to the digest it already has adds none.</summary>
/// <param name="Expected">Compare-and-set: the version number the proposer saw; null to move whatever is there; 0 for "must not exist".</param>
public sealed record MoveName(string Name, Digest Digest, JobId? By = null, int? Expected = null) : LedgerCommand;

/// <summary>Points an alias of a name at a digest in its history.</summary>
public sealed record SetAlias(string Name, string Alias, Digest Digest) : LedgerCommand;

/// <summary>Forgets a name and its history; content is not touched.</summary>
public sealed record RemoveName(string Name) : LedgerCommand;

/// <summary>Wants a job; the answer carries its id. A known result finishes it at once unless <paramref name="Recompute"/>;
/// a live job of the same identity and parent is returned instead of a second one.</summary>
public sealed record SubmitJob(
    JobKind Kind, string Title, Digest Spec, Digest Identity, JobId? Parent = null, int Workers = 1, bool Recompute = false) : LedgerCommand;

/// <summary>Sets where a job's processes run. A first placement starts the job; an empty one means it waits again.</summary>
public sealed record PlaceJob(JobId Job, ImmutableArray<Placement> Placements) : LedgerCommand;

/// <summary>Changes how many processes a job wants.</summary>
public sealed record ScaleJob(JobId Job, int Workers) : LedgerCommand;

public sealed record RecordCheckpoint(JobId Job, Checkpoint Checkpoint) : LedgerCommand;

/// <summary>Takes back a checkpoint that a worker had spoilt: the same step may be recorded again. One that is not there is none any more.</summary>
public sealed record WithdrawCheckpoint(JobId Job, Checkpoint Checkpoint) : LedgerCommand;

/// <summary>Ends a job, and cancels what it still wanted. A success with a <paramref name="Result"/> is remembered under its identity; the first one stays (a differing later one is refused).</summary>
public sealed record FinishJob(
    JobId Job, JobState State, ImmutableSortedDictionary<string, Digest> Outputs, string? Error = null, Digest? Log = null, JobResult? Result = null) : LedgerCommand;

/// <summary>Cancels a job and everything it wanted.</summary>
public sealed record CancelJob(JobId Job) : LedgerCommand;

/// <summary>Wants a model served under a name; wants a serve job too, whose id is in the answer.</summary>
public sealed record DeployEndpoint(string Name, Digest Model, string ModelName, int Replicas, Digest Spec, Digest Identity) : LedgerCommand;

/// <summary>Stops serving; cancels the endpoint's job.</summary>
public sealed record RemoveEndpoint(string Name) : LedgerCommand;

/// <summary>What applying a command said.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "answer")]
[JsonDerivedType(typeof(Done), "done")]
[JsonDerivedType(typeof(JobAccepted), "job")]
[JsonDerivedType(typeof(Refused), "refused")]
public abstract record LedgerAnswer;

public sealed record Done(long Revision) : LedgerAnswer;

public sealed record JobAccepted(JobId Job, long Revision) : LedgerAnswer;

/// <summary>The command was heard and changed nothing; the same on every replay. One exception: a result that diverges also fails its job.</summary>
/// <param name="Code">One of <see cref="LedgerCodes"/>.</param>
public sealed record Refused(string Code, string What, string Next) : LedgerAnswer;
