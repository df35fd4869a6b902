namespace Aisle.Ledger;

/// <summary>Rules of serving: an endpoint has one job, and a replaced or removed one takes its job with it.</summary>
public sealed partial record LedgerState
{
    private (LedgerState State, LedgerAnswer Answer) Apply(DeployEndpoint deploy)
    {
        if (!LedgerGrammar.IsSegment(deploy.Name))
        {
            return Refuse(LedgerCodes.NameMalformed, $"{Quote(deploy.Name)} cannot be an endpoint.",
                "Use a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, at most 128 characters.");
        }
        if (!LedgerGrammar.IsText(deploy.ModelName)) return RefuseText("model name", deploy.ModelName);
        if (deploy.Replicas is < 1 or > MaxWorkers) return RefuseWorkers(deploy.Replicas);

        var state = this;
        if (Endpoints.TryGetValue(deploy.Name, out var old) && Jobs.TryGetValue(old.Job, out var oldJob) && !oldJob.IsFinished)
        {
            // The same wish again, perhaps a retry after a lost answer: what serves goes on serving.
            if (old == new ModelEndpoint(deploy.Name, deploy.Model, deploy.ModelName, deploy.Replicas, old.Job)
                && oldJob.Identity == deploy.Identity && oldJob.Spec == deploy.Spec) return Accept(old.Job);
            state = state.Cancel(oldJob, deploy.At);
        }
        var (added, id) = state.Add(new SubmitJob(JobKind.Serve, $"serve/{deploy.Name}", deploy.Spec, deploy.Identity, Workers: deploy.Replicas) { At = deploy.At });
        var endpoint = new ModelEndpoint(deploy.Name, deploy.Model, deploy.ModelName, deploy.Replicas, id);
        return (added with { Endpoints = added.Endpoints.SetItem(deploy.Name, endpoint) }).Accept(id);
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(RemoveEndpoint remove)
    {
        if (remove.Name is null || !Endpoints.TryGetValue(remove.Name, out var endpoint))
        {
            return Refuse(LedgerCodes.EndpointNotFound, $"There is no endpoint {Quote(remove.Name)}.", "List them with `aisle status`.");
        }
        var state = this with { Endpoints = Endpoints.Remove(endpoint.Name) };
        return (Jobs.TryGetValue(endpoint.Job, out var job) && !job.IsFinished ? state.Cancel(job, remove.At) : state).Accept();
    }
}
