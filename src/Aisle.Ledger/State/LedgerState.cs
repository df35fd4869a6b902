using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Aisle.Artifacts;

namespace Aisle.Ledger;

/// <summary>Everything that is agreed, as one immutable value. Holds digests and small state only: specs, logs and metrics are artifacts.</summary>
public sealed partial record LedgerState
{
    public static LedgerState Empty { get; } = new();

    /// <summary>Commands applied so far; grows by one with each, refused ones included.</summary>
    public long Revision { get; init; }

    public ImmutableSortedDictionary<string, NameEntry> Names { get; init => field = value.Ordinal(); } = OrdinalMap.Empty<NameEntry>();

    /// <summary>Every unfinished job and the newest <see cref="FinishedJobsKept"/> finished ones. Results outlive their jobs.</summary>
    public ImmutableSortedDictionary<JobId, Job> Jobs { get; init; } = ImmutableSortedDictionary<JobId, Job>.Empty;

    /// <summary>Results by identity: the cache that cannot lie.</summary>
    public ImmutableSortedDictionary<Digest, JobResult> Results { get; init; } = ImmutableSortedDictionary<Digest, JobResult>.Empty;

    public ImmutableSortedDictionary<string, ModelEndpoint> Endpoints { get; init => field = value.Ordinal(); } = OrdinalMap.Empty<ModelEndpoint>();

    /// <summary>Highest job number ever given. The next job gets the next one, so no number is used twice.</summary>
    public long LastJobNumber { get; init; }

    /// <summary>Unfinished jobs, so that neither the scheduler nor a rule walks the finished ones.</summary>
    public ImmutableSortedSet<JobId> Live { get; init; } = [];

    /// <summary>Finished jobs that are kept, in the order in which they finished.</summary>
    public ImmutableList<JobId> Finished { get; init; } = [];

    /// <summary>Output → identity of the result that had it first: the upward step of lineage.</summary>
    public ImmutableSortedDictionary<Digest, Digest> Producers { get; init; } = ImmutableSortedDictionary<Digest, Digest>.Empty;

    /// <summary>Ledger time: what the newest <see cref="AdvanceTime"/> said. Never goes back.</summary>
    public DateTimeOffset Time { get; init; }

    /// <summary>Nothing expires before this. It may be early.</summary>
    public DateTimeOffset NextExpiry { get; init; } = DateTimeOffset.MaxValue;

    public ImmutableSortedDictionary<SessionId, Session> Sessions { get; init; } = ImmutableSortedDictionary<SessionId, Session>.Empty;

    public long LastSessionNumber { get; init; }

    public ImmutableSortedDictionary<string, Lease> Leases { get; init => field = value.Ordinal(); } = OrdinalMap.Empty<Lease>();

    /// <summary>Highest fencing number ever granted.</summary>
    public long LastFence { get; init; }
}

/// <summary>A client whose commands run once each.</summary>
/// <param name="LastSequence">Sequence of the newest command that ran; 0 before the first.</param>
/// <param name="Answer">What it was told, for a retry.</param>
public sealed record Session(string Client, TimeSpan Lifetime, DateTimeOffset ExpiresAt, long LastSequence = 0, LedgerAnswer? Answer = null);

/// <summary>Somebody's right to act, for a time.</summary>
public sealed record Lease(string Holder, long Fence, TimeSpan Lifetime, DateTimeOffset ExpiresAt);

/// <summary>A name's history, oldest first, and its movable aliases. <c>@latest</c> is always the newest version.</summary>
public sealed record NameEntry
{
    public required ImmutableArray<NameVersion> History { get; init; }

    /// <summary>Alias → digest. Aliases other than <c>latest</c>, which is derived.</summary>
    public ImmutableSortedDictionary<string, Digest> Aliases { get; init => field = value.Ordinal(); } = OrdinalMap.Empty<Digest>();

    /// <summary>The newest version.</summary>
    [JsonIgnore]
    public NameVersion Latest => History[^1];
}

/// <param name="Number">1 for the first version of the name.</param>
/// <param name="By">The job that moved the name, or null when a person did.</param>
public sealed record NameVersion(int Number, Digest Digest, DateTimeOffset At, JobId? By);

/// <summary><c>Pipeline</c> is a graph that wants other jobs; the rest are processes.</summary>
public enum JobKind { Pipeline, Task, Train, Serve }

public enum JobState { Waiting, Running, Succeeded, Failed, Cancelled }

/// <summary>One wanted piece of work.</summary>
public sealed record Job
{
    public required JobId Id { get; init; }

    public required JobKind Kind { get; init; }

    /// <summary>For people: <c>language-model</c> or <c>language-model/tokens</c>.</summary>
    public required string Title { get; init; }

    /// <summary>Artifact that holds the job's spec.</summary>
    public required Digest Spec { get; init; }

    /// <summary>Digest of what the job is given. Two jobs of one identity have one result.</summary>
    public required Digest Identity { get; init; }

    /// <summary>The pipeline run that wants this job.</summary>
    public JobId? Parent { get; init; }

    /// <summary>Processes wanted: 1 for a task, any number for elastic training. Not part of the identity.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>Ignore a known result and compute again, to compare.</summary>
    public bool Recompute { get; init; }

    public JobState State { get; init; }

    /// <summary>Times it was started; grows when a process was lost and the job runs again.</summary>
    public int Attempt { get; init; }

    /// <summary>Where its processes run; empty while it waits and once it is finished.</summary>
    public ImmutableArray<Placement> Placements { get; init => field = value.OrEmpty(); } = [];

    /// <summary>Number of the next process, <c>w1</c> first: applying <see cref="PlaceJob"/> moves it past every process placed so far, so names are never reused.</summary>
    public int NextProcess { get; init; } = 1;

    /// <summary>Durable progress of a training job, oldest first.</summary>
    public ImmutableArray<Checkpoint> Checkpoints { get; init => field = value.OrEmpty(); } = [];

    public ImmutableSortedDictionary<string, Digest> Outputs { get; init => field = value.Ordinal(); } = OrdinalMap.Empty<Digest>();

    /// <summary>Finished at once because its result was known.</summary>
    public bool FromCache { get; init; }

    public string? Error { get; init; }

    /// <summary>Artifact with the log and events, once finished.</summary>
    public Digest? Log { get; init; }

    public required DateTimeOffset SubmittedAt { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? FinishedAt { get; init; }

    [JsonIgnore]
    public bool IsFinished => State is JobState.Succeeded or JobState.Failed or JobState.Cancelled;
}

/// <summary>A process of a job on a node.</summary>
/// <param name="Process">Letters and a number, <c>w1</c>, <c>w2</c>, …: unique within the job and never used again. A replacement gets the next number.</param>
public sealed record Placement(string Process, string Node);

public sealed record Checkpoint(long Step, Digest Digest);

/// <summary>What an identity computes to, and what it was computed from: lineage is the walk over these.</summary>
public sealed record JobResult
{
    public required Digest Identity { get; init; }

    public required string Title { get; init; }

    /// <summary>Artifact that holds the spec, so that anyone can run it again.</summary>
    public required Digest Spec { get; init; }

    public required JobKind Kind { get; init; }

    public required ImmutableSortedDictionary<string, Digest> Inputs { get; init => field = value.Ordinal(); }

    public required ImmutableSortedDictionary<string, Digest> Outputs { get; init => field = value.Ordinal(); }

    public ImmutableArray<Checkpoint> Checkpoints { get; init => field = value.OrEmpty(); } = [];

    /// <summary>Records in, out, filtered and dead, or null where records are not counted.</summary>
    public RecordCounts? Counts { get; init; }

    public required JobId ProducedBy { get; init; }
}

/// <summary>Nothing is dropped in silence: In = Out + Filtered + Dead.</summary>
public sealed record RecordCounts(long In, long Out, long Filtered, long Dead)
{
    // 128 bits: three counts near the limit must not wrap round to a sum that looks right.
    [JsonIgnore]
    public bool AddsUp => In >= 0 && Out >= 0 && Filtered >= 0 && Dead >= 0 && In == (Int128)Out + Filtered + Dead;
}

/// <summary>A served model under a name.</summary>
public sealed record ModelEndpoint(string Name, Digest Model, string ModelName, int Replicas, JobId Job);
