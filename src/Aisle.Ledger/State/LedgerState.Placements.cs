namespace Aisle.Ledger;

/// <summary>Rules of where a job runs: a process is on one node for its whole life, and its number is never used again.</summary>
public sealed partial record LedgerState
{
    private (LedgerState State, LedgerAnswer Answer) Apply(PlaceJob place)
    {
        if (!Jobs.TryGetValue(place.Job, out var job)) return RefuseUnknownJob(place.Job);
        if (job.IsFinished) return RefuseFinished(job, "be placed");
        var placements = place.Placements.OrEmpty();
        if (placements.Length > MaxWorkers) return RefuseWorkers(placements.Length);

        var next = job.NextProcess;
        var processes = new HashSet<string>(placements.Length, StringComparer.Ordinal);
        var newNumbers = new HashSet<int>();
        foreach (var placement in placements)
        {
            if (placement is null || LedgerGrammar.ProcessNumber(placement.Process) is not { } number || !LedgerGrammar.IsText(placement.Node))
            {
                return Refuse(LedgerCodes.PlacementMalformed, $"{Quote(placement?.Process)} on {Quote(placement?.Node)} cannot be a placement of {job.Id}.",
                    "Name the process by letters and a number, such as w1, and the node by 1 to 256 characters.");
            }
            if (!processes.Add(placement.Process))
            {
                return Refuse(LedgerCodes.ProcessReused, $"{placement.Process} of {job.Id} is placed twice.", "Give each process its own number.");
            }
            if (job.Placements.Contains(placement)) continue;
            // Numbers rather than a list of all names ever used: one integer remembers them all.
            if (number < job.NextProcess || !newNumbers.Add(number))
            {
                return Refuse(LedgerCodes.ProcessReused, $"{placement.Process} of {job.Id} was used before.",
                    $"A new process takes {job.NextProcess} or a higher number.");
            }
            next = Math.Max(next, number + 1);
        }

        var starts = job.Placements.IsEmpty && !placements.IsEmpty;
        job = job with
        {
            Placements = placements,
            NextProcess = next,
            State = placements.IsEmpty ? JobState.Waiting : JobState.Running,
            Attempt = starts ? job.Attempt + 1 : job.Attempt,
            StartedAt = starts ? job.StartedAt ?? place.At : job.StartedAt,
        };
        return (this with { Jobs = Jobs.SetItem(job.Id, job) }).Accept();
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(ScaleJob scale)
    {
        if (!Jobs.TryGetValue(scale.Job, out var job)) return RefuseUnknownJob(scale.Job);
        if (job.IsFinished) return RefuseFinished(job, "be scaled");
        if (scale.Workers is < 1 or > MaxWorkers) return RefuseWorkers(scale.Workers);
        var state = this with { Jobs = Jobs.SetItem(job.Id, job with { Workers = scale.Workers }) };
        if (job.Kind != JobKind.Serve) return state.Accept();
        foreach (var endpoint in Endpoints.Values.Where(endpoint => endpoint.Job == job.Id))
        {
            state = state with { Endpoints = state.Endpoints.SetItem(endpoint.Name, endpoint with { Replicas = scale.Workers }) };
        }
        return state.Accept();
    }
}
