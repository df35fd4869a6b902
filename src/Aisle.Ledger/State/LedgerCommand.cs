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
[JsonDerivedType(typeof(AdvanceTime), "advanceTime")]
[JsonDerivedType(typeof(OpenSession), "openSession")]
[JsonDerivedType(typeof(KeepSession), "keepSession")]
[JsonDerivedType(typeof(CloseSession), "closeSession")]
[JsonDerivedType(typeof(InSession), "inSession")]
[JsonDerivedType(typeof(GrantLease), "grantLease")]
[JsonDerivedType(typeof(RenewLease), "renewLease")]
[JsonDerivedType(typeof(ReleaseLease), "releaseLease")]
public abstract record LedgerCommand
{
    public required DateTimeOffset At { get; init; }

    /// <summary>The lease by whose right this is asked: refused once it is stale. Null for what needs none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public LeaseProof? Under { get; init; }
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

/// <summary>The leader's stamp, first in a batch: ledger time becomes its <c>At</c>, or stays when that is earlier. What is due by then expires. Nobody else proposes it.</summary>
public sealed record AdvanceTime : LedgerCommand;

/// <summary>Opens a session; the answer carries its id. A session whose answer was lost expires by itself.</summary>
/// <param name="Client">For people: who it is.</param>
/// <param name="Lifetime">Ledger time without a command after which it expires.</param>
public sealed record OpenSession(string Client, TimeSpan Lifetime) : LedgerCommand;

/// <summary>Says that the client is still there. So does every command in the session.</summary>
public sealed record KeepSession(SessionId Session) : LedgerCommand;

/// <summary>Ends a session. One that is not there is closed.</summary>
public sealed record CloseSession(SessionId Session) : LedgerCommand;

/// <summary>Runs a command once, however often it is asked: the sequence answered last gets the same answer again, an earlier one is refused.</summary>
/// <param name="Sequence">1 or more, growing. One command at a time: the next one after the answer.</param>
public sealed record InSession(SessionId Session, long Sequence, LedgerCommand Run) : LedgerCommand;

/// <summary>Takes a lease that nobody holds; the answer carries its fencing number. Its own holder gets a new number, and the old one is stale.</summary>
/// <param name="Lifetime">Ledger time after which it expires unless it is renewed.</param>
public sealed record GrantLease(string Name, string Holder, TimeSpan Lifetime) : LedgerCommand;

/// <summary>Counts the lease's lifetime from now.</summary>
public sealed record RenewLease(string Name, long Fence) : LedgerCommand;

/// <summary>Gives a lease back. One that nobody holds is given back.</summary>
public sealed record ReleaseLease(string Name, long Fence) : LedgerCommand;

/// <summary>Shown by who acts under a lease: its name and the fencing number that was granted.</summary>
public sealed record LeaseProof(string Name, long Fence);

/// <summary>What applying a command said.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "answer")]
[JsonDerivedType(typeof(Done), "done")]
[JsonDerivedType(typeof(JobAccepted), "job")]
[JsonDerivedType(typeof(SessionOpened), "session")]
[JsonDerivedType(typeof(LeaseGranted), "lease")]
[JsonDerivedType(typeof(Refused), "refused")]
public abstract record LedgerAnswer;

public sealed record Done(long Revision) : LedgerAnswer;

public sealed record JobAccepted(JobId Job, long Revision) : LedgerAnswer;

public sealed record SessionOpened(SessionId Session, long Revision) : LedgerAnswer;

/// <param name="Fence">Larger than that of every lease granted before.</param>
/// <param name="ExpiresAt">In ledger time. A holder stops earlier by its own clock, counted from before it asked.</param>
public sealed record LeaseGranted(string Name, long Fence, DateTimeOffset ExpiresAt, long Revision) : LedgerAnswer;

/// <summary>The command was heard and changed nothing; the same on every replay. One exception: a result that diverges also fails its job.</summary>
/// <param name="Code">One of <see cref="LedgerCodes"/>.</param>
public sealed record Refused(string Code, string What, string Next) : LedgerAnswer;
