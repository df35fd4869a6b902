using Aisle.Artifacts;

namespace Aisle.Ledger;

/// <summary>Rules of wanting jobs: a known result is not computed again, a wanted job is wanted once, and nothing runs that nobody wants.</summary>
public sealed partial record LedgerState
{
    /// <summary>Finished jobs that are remembered; older ones are forgotten, their results are not.</summary>
    public const int FinishedJobsKept = 10_000;

    /// <summary>Processes a job can want, and placements it can have.</summary>
    public const int MaxWorkers = 1024;

    private (LedgerState State, LedgerAnswer Answer) Apply(SubmitJob submit)
    {
        if (!Enum.IsDefined(submit.Kind))
        {
            return Refuse(LedgerCodes.CommandMalformed, $"{(int)submit.Kind} is no kind of job.", "Use pipeline, task, train or serve.");
        }
        if (!LedgerGrammar.IsText(submit.Title)) return RefuseText("title", submit.Title);
        if (submit.Workers is < 1 or > MaxWorkers) return RefuseWorkers(submit.Workers);
        if (submit.Parent is { } parent)
        {
            if (!Jobs.TryGetValue(parent, out var wanting)) return RefuseUnknownJob(parent);
            if (wanting.IsFinished) return RefuseFinished(wanting, "want another job");
        }

        if (!submit.Recompute && Results.TryGetValue(submit.Identity, out var known))
        {
            var (finished, id) = Add(submit);
            return finished.End(finished.Jobs[id] with { State = JobState.Succeeded, FromCache = true, Outputs = known.Outputs }, submit.At).Accept(id);
        }
        foreach (var id in Live)
        {
            var job = Jobs[id];
            if (job.Identity == submit.Identity && job.Parent == submit.Parent && job.Recompute == submit.Recompute) return Accept(id);
        }
        var (added, newId) = Add(submit);
        return added.Accept(newId);
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(CancelJob cancel)
    {
        if (!Jobs.TryGetValue(cancel.Job, out var job)) return RefuseUnknownJob(cancel.Job);
        if (job.State == JobState.Cancelled) return Accept();
        if (job.IsFinished) return RefuseFinished(job, "be cancelled");
        return Cancel(job, cancel.At).Accept();
    }

    private (LedgerState State, JobId Id) Add(SubmitJob submit)
    {
        var id = new JobId(LastJobNumber + 1);
        var job = new Job
        {
            Id = id,
            Kind = submit.Kind,
            Title = submit.Title,
            Spec = submit.Spec,
            Identity = submit.Identity,
            Parent = submit.Parent,
            Workers = submit.Workers,
            Recompute = submit.Recompute,
            SubmittedAt = submit.At,
        };
        return (this with { LastJobNumber = id.Number, Jobs = Jobs.Add(id, job), Live = Live.Add(id) }, id);
    }

    private LedgerState Cancel(Job job, DateTimeOffset at) => End(job with { State = JobState.Cancelled }, at);

    /// <summary>Every end of a job goes through here: its processes are gone, what it still wanted is cancelled, the oldest finished job makes room.</summary>
    private LedgerState End(Job job, DateTimeOffset at)
    {
        var ended = job with { Placements = [], FinishedAt = at };
        var state = this with { Jobs = Jobs.SetItem(job.Id, ended), Live = Live.Remove(job.Id), Finished = Finished.Add(job.Id) };
        // A loop, not recursion: a chain of parents as long as the ledger allows must not overflow the stack.
        var parents = new Queue<JobId>([job.Id]);
        while (parents.TryDequeue(out var parent))
        {
            foreach (var id in state.Live)
            {
                var child = state.Jobs[id];
                if (child.Parent != parent) continue;
                state = state with
                {
                    Jobs = state.Jobs.SetItem(id, child with { State = JobState.Cancelled, Placements = [], FinishedAt = at }),
                    Live = state.Live.Remove(id),
                    Finished = state.Finished.Add(id),
                };
                parents.Enqueue(id);
            }
        }
        return state.ForgetOldJobs();
    }

    private LedgerState ForgetOldJobs()
    {
        var (jobs, finished) = (Jobs, Finished);
        for (var oldest = 0; finished.Count > FinishedJobsKept && oldest < finished.Count;)
        {
            var id = finished[oldest];
            if (jobs[id].Kind == JobKind.Serve && Endpoints.Values.Any(endpoint => endpoint.Job == id))
            {
                oldest++;   // an endpoint still shows it
                continue;
            }
            jobs = jobs.Remove(id);
            finished = finished.RemoveAt(oldest);
        }
        return this with { Jobs = jobs, Finished = finished };
    }

    private (LedgerState State, LedgerAnswer Answer) RefuseUnknownJob(JobId job) => Refuse(LedgerCodes.JobNotFound,
        $"There is no {job}.", $"List the jobs with `aisle jobs`; the newest {FinishedJobsKept} finished ones are kept.");

    private (LedgerState State, LedgerAnswer Answer) RefuseFinished(Job job, string wish) => Refuse(LedgerCodes.JobFinished,
        $"{job.Id} ({job.Title}) has {job.State.ToString().ToLowerInvariant()} and cannot {wish}.", "Submit it again if you want it to run again.");

    private (LedgerState State, LedgerAnswer Answer) RefuseWorkers(int workers) => Refuse(LedgerCodes.WorkersOutOfRange,
        $"{workers} processes were asked for.", $"Ask for 1 to {MaxWorkers}.");

    private (LedgerState State, LedgerAnswer Answer) RefuseText(string field, string? text) => Refuse(LedgerCodes.CommandMalformed,
        $"{Quote(text)} cannot be a {field}.", "Write 1 to 256 characters without control characters.");
}
