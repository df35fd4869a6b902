using System.Collections.Immutable;
using Aisle.Artifacts;

namespace Aisle.Ledger;

/// <summary>Rules of what a job brings: steps only grow, counts add up, and one identity has one result.</summary>
public sealed partial record LedgerState
{
    /// <summary>Checkpoints a job can record.</summary>
    public const int MaxCheckpoints = 10_000;

    /// <summary>Entries in a job's or result's inputs or outputs.</summary>
    public const int MaxPorts = 256;

    /// <summary>Characters of a job's error that are kept; the log has the rest.</summary>
    public const int MaxErrorLength = 4096;

    private (LedgerState State, LedgerAnswer Answer) Apply(RecordCheckpoint record)
    {
        if (!Jobs.TryGetValue(record.Job, out var job)) return RefuseUnknownJob(record.Job);
        if (record.Checkpoint is not { Step: >= 0 } checkpoint)
        {
            return Refuse(LedgerCodes.CheckpointOutOfOrder, $"{job.Id} has no step {record.Checkpoint?.Step}.", "Count steps from 0.");
        }
        // Asked before "is it finished": a late worker with other bits is worth hearing about, whatever became of the job.
        if (job.Checkpoints.FirstOrDefault(known => known.Step == checkpoint.Step) is { } same)
        {
            return same.Digest == checkpoint.Digest
                ? Accept()
                : Refuse(LedgerCodes.Divergence, $"Step {checkpoint.Step} of {job.Id} was {same.Digest} and is now {checkpoint.Digest}.",
                    "One of the two machines computes wrongly: run `aisle doctor` on both.");
        }
        if (job.IsFinished) return RefuseFinished(job, "record a checkpoint");
        if (job.Checkpoints is [.., var newest] && newest.Step > checkpoint.Step)
        {
            return Refuse(LedgerCodes.CheckpointOutOfOrder, $"{job.Id} is at step {newest.Step}; step {checkpoint.Step} comes too late.",
                "Go on from the newest checkpoint.");
        }
        if (job.Checkpoints.Length >= MaxCheckpoints)
        {
            return Refuse(LedgerCodes.CheckpointOutOfOrder, $"{job.Id} has {MaxCheckpoints} checkpoints, the most a job can record.", "Checkpoint less often.");
        }
        return (this with { Jobs = Jobs.SetItem(job.Id, job with { Checkpoints = job.Checkpoints.Add(checkpoint) }) }).Accept();
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(WithdrawCheckpoint withdraw)
    {
        if (!Jobs.TryGetValue(withdraw.Job, out var job)) return RefuseUnknownJob(withdraw.Job);
        if (job.IsFinished) return RefuseFinished(job, "withdraw a checkpoint");
        var kept = job.Checkpoints.RemoveAll(known => known == withdraw.Checkpoint);
        return (kept.Length == job.Checkpoints.Length ? this : this with { Jobs = Jobs.SetItem(job.Id, job with { Checkpoints = kept }) }).Accept();
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(FinishJob finish)
    {
        if (!Jobs.TryGetValue(finish.Job, out var job)) return RefuseUnknownJob(finish.Job);
        if (finish.State is not (JobState.Succeeded or JobState.Failed or JobState.Cancelled))
        {
            return Refuse(LedgerCodes.CommandMalformed, $"{finish.State} is no end of a job.", "Finish it as succeeded, failed or cancelled.");
        }
        var outputs = finish.Outputs.Ordinal();
        if (FaultOfPorts(outputs) is { } fault) return Refuse(LedgerCodes.ResultMalformed, $"{job.Id}: {fault}", "Name up to 256 outputs.");
        if (finish.Result is { } result)
        {
            if (FaultOf(result, job, finish.State, outputs) is { } wrong)
            {
                return Refuse(LedgerCodes.ResultMalformed, $"The result of {job.Id} {wrong}", "This is a fault in the program that ran it; report it with its log.");
            }
            if (result.Counts is { AddsUp: false } counts)
            {
                return Refuse(LedgerCodes.CountsDoNotAddUp,
                    $"{job.Id} read {counts.In} records and accounts for {counts.Out} out, {counts.Filtered} filtered and {counts.Dead} dead.",
                    "The step loses or invents records: fix it so that in = out + filtered + dead.");
            }
            if (Results.TryGetValue(job.Identity, out var first) && Difference(first.Outputs, outputs) is { } difference) return Diverge(job, finish, first, difference);
        }
        if (job.IsFinished)
        {
            return job.State == finish.State && job.Outputs.SequenceEqual(outputs) ? Accept() : RefuseFinished(job, $"finish as {finish.State.ToString().ToLowerInvariant()}");
        }

        var state = End(job with { State = finish.State, Outputs = outputs, Error = Shorten(finish.Error), Log = finish.Log }, finish.At);
        return (finish.Result is null ? state : state.Remember(finish.Result)).Accept();
    }

    private LedgerState Remember(JobResult result)
    {
        if (Results.ContainsKey(result.Identity)) return this;
        var producers = Producers;
        foreach (var output in result.Outputs.Values)
        {
            if (!producers.ContainsKey(output)) producers = producers.Add(output, result.Identity);
        }
        return this with { Results = Results.Add(result.Identity, result), Producers = producers };
    }

    private (LedgerState State, LedgerAnswer Answer) Diverge(Job job, FinishJob finish, JobResult first, string difference)
    {
        var what = $"{job.Id} computed another result than {first.ProducedBy} from the same inputs: {difference}.";
        var state = job.IsFinished ? this : End(job with { State = JobState.Failed, Error = Shorten(what), Log = finish.Log }, finish.At);
        return state.Refuse(LedgerCodes.Divergence, what, "One of the two machines computes wrongly, or the program is not a pure function: run `aisle doctor` on both.");
    }

    private static string? FaultOf(JobResult result, Job job, JobState state, ImmutableSortedDictionary<string, Digest> outputs)
    {
        if (state != JobState.Succeeded) return "comes with a job that did not succeed.";
        if (result.Identity != job.Identity) return $"is of {result.Identity.Short}; the job is {job.Identity.Short}.";
        if (result.ProducedBy != job.Id) return $"says that {result.ProducedBy} produced it.";
        if (result.Spec != job.Spec || result.Kind != job.Kind) return "has another spec or kind than the job.";
        if (!LedgerGrammar.IsText(result.Title)) return "has no proper title.";
        if (FaultOfPorts(result.Inputs) is { } fault) return $"has bad inputs: {fault}";
        if (!result.Outputs.SequenceEqual(outputs)) return "has other outputs than the job.";
        if (result.Checkpoints.Length > MaxCheckpoints) return $"has more than {MaxCheckpoints} checkpoints.";
        for (var i = 0; i < result.Checkpoints.Length; i++)
        {
            if (result.Checkpoints[i] is not { Step: >= 0 } checkpoint) return "has a checkpoint without a step.";
            if (i > 0 && checkpoint.Step <= result.Checkpoints[i - 1].Step) return "has checkpoints whose steps do not grow.";
        }
        return null;
    }

    private static string? FaultOfPorts(ImmutableSortedDictionary<string, Digest> ports)
    {
        if (ports.Count > MaxPorts) return $"{ports.Count} ports are more than {MaxPorts}.";
        return ports.Keys.FirstOrDefault(port => !LedgerGrammar.IsText(port)) is { } bad ? $"{Quote(bad)} cannot be a port." : null;
    }

    /// <summary>The first port that differs, with both digests, or null when all are equal.</summary>
    private static string? Difference(ImmutableSortedDictionary<string, Digest> first, ImmutableSortedDictionary<string, Digest> second)
    {
        foreach (var port in first.Keys.Union(second.Keys, StringComparer.Ordinal))
        {
            var was = first.TryGetValue(port, out var one) ? one.ToString() : "absent";
            var now = second.TryGetValue(port, out var two) ? two.ToString() : "absent";
            if (was != now) return $"{port} was {was} and is now {now}";
        }
        return null;
    }

    private static string? Shorten(string? error)
    {
        if (error is null || error.Length <= MaxErrorLength) return error;
        // A pair of surrogates is one character: half of one cannot be written and read back.
        var length = char.IsHighSurrogate(error[MaxErrorLength - 1]) ? MaxErrorLength - 1 : MaxErrorLength;
        return error[..length];
    }
}
