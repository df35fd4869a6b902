using Aisle.Artifacts;
using Aisle.Monitoring;

namespace Aisle.Training;

/// <summary>What a coordinator tells of a run, in the order it happened.</summary>
/// <param name="At">Since the coordinator's start.</param>
public abstract record TrainingEvent(TimeSpan At);

/// <param name="Step">Updates made to the weights so far: 1 after the first.</param>
/// <param name="LossPerToken">Mean cross-entropy of the step's tokens, in nats; the same bits on any number of workers.</param>
/// <param name="WeightsHash">XXH3-64 of the weights: compare two runs' to see where they part.</param>
/// <param name="Skipped">A gradient was NaN, infinite or too large: the weights stayed as they were, on every worker alike.</param>
/// <param name="GradientNorm">Length of the mean gradient before clipping; NaN for a skipped step.</param>
/// <param name="LearningRate">Of the update that led here.</param>
public sealed record StepCommitted(
    TimeSpan At, long Step, double LossPerToken, double TokensPerSecond, int Workers, ulong WeightsHash, bool Skipped, double GradientNorm, double LearningRate) : TrainingEvent(At);

/// <summary>A worker has made the step, the first or not, and says where its time went. After the step's <see cref="StepCommitted"/>.</summary>
public sealed record WorkerStepped(TimeSpan At, long Step, string Name, StepTimes Times) : TrainingEvent(At);

/// <summary>The worker came without a state, and its first pieces are with it. The others go on meanwhile.</summary>
/// <param name="Step">The state from which it follows the run.</param>
public sealed record WorkerLearns(TimeSpan At, string Name, long Step) : TrainingEvent(At);

/// <summary>The worker has the state and gets slices from here on.</summary>
public sealed record WorkerJoined(TimeSpan At, string Name) : TrainingEvent(At);

/// <summary>Its connection ended, or the run went on without it.</summary>
/// <param name="At">When the coordinator noticed.</param>
public sealed record WorkerLost(TimeSpan At, string Name, string Reason) : TrainingEvent(At);

/// <summary>It has said nothing for a while: others do its work too, and it counts again once it speaks.</summary>
public sealed record WorkerSuspected(TimeSpan At, string Name, TimeSpan Silence) : TrainingEvent(At);

/// <summary>A worker that was suspected or lost is there again, before the run went on without it: it counts as before.</summary>
public sealed record WorkerReturned(TimeSpan At, string Name) : TrainingEvent(At);

/// <summary>It asked to leave, and nothing had to be computed again.</summary>
public sealed record WorkerLeft(TimeSpan At, string Name) : TrainingEvent(At);

/// <summary>The run goes on from a state that workers brought along: this coordinator was started anew, or lost them for a while.</summary>
/// <param name="Workers">Those who have the state; others receive it.</param>
public sealed record RunReunited(TimeSpan At, long Step, int Workers) : TrainingEvent(At);

public sealed record WorkerRefused(TimeSpan At, string Name, string Reason) : TrainingEvent(At);

/// <summary>The worker's machine computes wrongly. It is out and refused under that name; what it may have spoilt is made again without it.</summary>
/// <param name="Host">Its address.</param>
/// <param name="Step">Where it was found out.</param>
/// <param name="Slice">Null when it was not a slice that showed it.</param>
public sealed record WorkerQuarantined(TimeSpan At, string Name, string Host, string Why, long Step, int? Slice) : TrainingEvent(At);

public sealed record ViewChanged(TimeSpan At, long Epoch, IReadOnlyList<string> Workers) : TrainingEvent(At);

/// <summary>A worker is late: idle ones compute its slices too, and whichever result comes first counts.</summary>
public sealed record StepHedged(TimeSpan At, long Step, int Slices) : TrainingEvent(At);

/// <summary>The first step made after a worker was lost.</summary>
/// <param name="Took">From the moment the loss was noticed.</param>
/// <param name="SlicesRecomputed">The lost worker's, shared out among the others.</param>
public sealed record StepRecovered(TimeSpan At, long Step, TimeSpan Took, int SlicesRecomputed) : TrainingEvent(At);

public sealed record CheckpointSaved(TimeSpan At, long Step, Digest Digest) : TrainingEvent(At);

public sealed record CheckpointSkipped(TimeSpan At, long Step, string Reason) : TrainingEvent(At);

/// <summary>A checkpoint that was announced may hold a wrong worker's part: do not use it. The run stores the same step again.</summary>
public sealed record CheckpointWithdrawn(TimeSpan At, long Step, Digest Digest) : TrainingEvent(At);

public sealed record ModelSaved(TimeSpan At, long Step, Digest Digest) : TrainingEvent(At);

/// <summary>Every worker with the state was gone, or one had spoilt it: the run goes on from the newest sound checkpoint, or from its start, and reaches the same bits again.</summary>
public sealed record RolledBack(TimeSpan At, long From, long To) : TrainingEvent(At);

/// <param name="Model">Digest of the model; null for a run that was to stop before its last step.</param>
/// <param name="Checkpoints">Stored in this run, oldest first.</param>
public sealed record TrainingOutcome(long Step, Digest? Model, ulong WeightsHash, double LossPerToken, IReadOnlyList<(long Step, Digest Digest)> Checkpoints);
