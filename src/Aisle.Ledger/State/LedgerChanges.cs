namespace Aisle.Ledger;

public enum ChangeKind { Name, Job, Endpoint, Lease }

/// <summary>Something is not what it was before this revision; what it is now, the state shows (it may be gone).</summary>
/// <param name="Key">The name, the job as <c>job-7</c>, the endpoint, the lease.</param>
public readonly record struct LedgerChange(long Revision, ChangeKind Kind, string Key);

/// <summary>What one command changed: told from the command and the two states, so that no rule has to keep an account.</summary>
internal static class LedgerChanges
{
    /// <summary>Adds what <paramref name="command"/> changed, in order of kind and key, each once. Cost grows with what it touched and with the unfinished jobs
    /// when one of them ended, never with the state.</summary>
    public static void Add(LedgerState before, LedgerCommand command, LedgerState after, ICollection<LedgerChange> into)
    {
        if (command is InSession once) command = once.Run;
        if (!ReferenceEquals(before.Names, after.Names) && NameOf(command) is { } name) into.Add(new LedgerChange(after.Revision, ChangeKind.Name, name));
        if (!ReferenceEquals(before.Jobs, after.Jobs))
        {
            foreach (var job in JobsOf(before, command, after))
            {
                if (!ReferenceEquals(before.Jobs.GetValueOrDefault(job), after.Jobs.GetValueOrDefault(job))) into.Add(new LedgerChange(after.Revision, ChangeKind.Job, job.ToString()));
            }
        }
        if (!ReferenceEquals(before.Endpoints, after.Endpoints))
        {
            // A scaled job may be an endpoint's: there are few endpoints.
            IEnumerable<string> endpoints = EndpointOf(command) is { } named ? [named] : after.Endpoints.Keys;
            foreach (var endpoint in endpoints.Where(key => !ReferenceEquals(before.Endpoints.GetValueOrDefault(key), after.Endpoints.GetValueOrDefault(key))))
            {
                into.Add(new LedgerChange(after.Revision, ChangeKind.Endpoint, endpoint));
            }
        }
        if (ReferenceEquals(before.Leases, after.Leases)) return;
        if (LeaseOf(command) is { } lease) into.Add(new LedgerChange(after.Revision, ChangeKind.Lease, lease));
        else foreach (var key in before.Leases.Keys.Where(key => !after.Leases.ContainsKey(key))) into.Add(new LedgerChange(after.Revision, ChangeKind.Lease, key));
    }

    private static string? NameOf(LedgerCommand command) => command switch
    {
        MoveName move => move.Name,
        SetAlias alias => alias.Name,
        RemoveName remove => remove.Name,
        _ => null,
    };

    private static string? EndpointOf(LedgerCommand command) => command switch
    {
        DeployEndpoint deploy => deploy.Name,
        RemoveEndpoint remove => remove.Name,
        _ => null,
    };

    private static string? LeaseOf(LedgerCommand command) => command switch
    {
        GrantLease grant => grant.Name,
        RenewLease renew => renew.Name,
        ReleaseLease release => release.Name,
        _ => null,
    };

    private static SortedSet<JobId> JobsOf(LedgerState before, LedgerCommand command, LedgerState after)
    {
        var jobs = new SortedSet<JobId>();
        JobId? named = command switch
        {
            PlaceJob place => place.Job,
            ScaleJob scale => scale.Job,
            RecordCheckpoint record => record.Job,
            WithdrawCheckpoint withdraw => withdraw.Job,
            FinishJob finish => finish.Job,
            CancelJob cancel => cancel.Job,
            _ => null,
        };
        if (named is { } job) jobs.Add(job);
        for (var number = before.LastJobNumber + 1; number <= after.LastJobNumber; number++) jobs.Add(new JobId(number));
        // What was wanted by one that ended has ended with it.
        if (!ReferenceEquals(before.Live, after.Live)) jobs.UnionWith(before.Live.Where(live => !after.Live.Contains(live)));
        // The oldest finished ones make room.
        var forgotten = before.Jobs.Count + (int)(after.LastJobNumber - before.LastJobNumber) - after.Jobs.Count;
        foreach (var finished in forgotten > 0 ? before.Finished : [])
        {
            if (after.Jobs.ContainsKey(finished)) continue;
            jobs.Add(finished);
            if (--forgotten == 0) break;
        }
        return jobs;
    }
}
