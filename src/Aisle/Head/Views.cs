using Aisle.Api;
using Aisle.Jobs;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>What is agreed and what the nodes say, as the contract shows it.</summary>
internal static class Views
{
    public static string Word(JobState state) => state.ToString().ToLowerInvariant();

    public static string Word(JobKind kind) => kind.ToString().ToLowerInvariant();

    public static CountsView? Counts(RecordCounts? counts) => counts is null ? null : new CountsView(counts.In, counts.Out, counts.Filtered, counts.Dead);

    public static NodeView Node(FleetNode node) => new()
    {
        Name = node.Name,
        State = node.Up ? "up" : "down",
        Pid = node.Last.Pid,
        Url = node.Last.Url.ToString(),
        Dir = node.Last.Dir,
        Cores = node.Last.Cores,
        Processes = node.Last.Processes.Count(process => process.ExitCode is null),
        Shards = node.Last.Shards,
        StoredBytes = node.Last.StoredBytes,
        FreeBytes = node.Last.FreeBytes,
        CorruptionsFound = node.Last.CorruptionsFound,
        Repaired = node.Last.Repaired,
        NumericClass = node.Last.NumericClass,
    };

    public static JobView Job(Job job, LedgerState state, Fleet fleet, JobEvents events)
    {
        var children = job.Kind == JobKind.Pipeline ? [.. state.Jobs.Values.Where(child => child.Parent == job.Id)] : Array.Empty<Job>();
        var training = job.Kind == JobKind.Train ? job : children.FirstOrDefault(child => child.Kind == JobKind.Train);
        var step = training is null ? null : events.LastStep(training.Id);
        var live = children.Where(child => !child.IsFinished).Append(job);
        return new JobView
        {
            Job = job.Id.ToString(),
            Title = job.Title,
            Kind = Word(job.Kind),
            // A pipeline has no process of its own: it runs while its steps are wanted.
            State = Word(job is { Kind: JobKind.Pipeline, State: JobState.Waiting } && children.Length > 0 ? JobState.Running : job.State),
            Parent = job.Parent?.ToString(),
            Step = step?.Step ?? training?.Checkpoints.LastOrDefault()?.Step,
            Steps = step?.Steps,
            Loss = step?.Loss,
            WorkersWanted = training?.Workers ?? job.Workers,
            Workers = [.. live.SelectMany(owner => owner.Placements.Select(placement => Worker(owner, placement, fleet)))],
            Quarantined = [.. (training is null ? [] : events.Quarantined(training.Id)).Select(e => new QuarantineView(e.Worker!, e.Step ?? 0, e.Message ?? ""))],
            Outputs = job.Outputs,
            FromCache = job.FromCache,
            Error = job.Error,
            Spec = job.Spec,
            Identity = job.Identity,
            Log = job.Log,
            Counts = job.State == JobState.Succeeded ? Counts(state.Results.GetValueOrDefault(job.Identity)?.Counts) : null,
            Checkpoints = [.. ((training is { FromCache: true } ? state.Results.GetValueOrDefault(training.Identity)?.Checkpoints : training?.Checkpoints) ?? [])
                .Select(checkpoint => new CheckpointView(checkpoint.Step, checkpoint.Digest))],
            Attempt = job.Attempt,
            SubmittedAt = job.SubmittedAt,
            StartedAt = job.StartedAt ?? (children.Length > 0 ? job.SubmittedAt : null),
            FinishedAt = job.FinishedAt,
            Children = [.. children.Select(child => child.Id.ToString())],
        };
    }

    public static EndpointView Endpoint(ModelEndpoint endpoint, LedgerState state, Fleet fleet, Uri url)
    {
        var ready = state.Jobs.TryGetValue(endpoint.Job, out var job) ? job.Placements.Count(placement => fleet.ReadyUrl(job.Id, placement) is not null) : 0;
        return new EndpointView(endpoint.Name, endpoint.Model, endpoint.ModelName, endpoint.Replicas, ready, endpoint.Job.ToString(), new Uri(url, "v1/completions").ToString());
    }

    public static NameView Name(string name, NameEntry entry, NameVersion version) => new()
    {
        Name = name,
        Digest = version.Digest,
        Version = version.Number,
        At = version.At,
        By = version.By?.ToString(),
        Aliases = entry.Aliases,
    };

    private static WorkerView Worker(Job job, Placement placement, Fleet fleet)
    {
        var process = fleet.View(job.Id, placement);
        return new WorkerView(placement.Process, placement.Node, process?.Pid ?? 0, process switch
        {
            null => "starting",
            { ExitCode: not null } => "lost",
            _ => "running",
        }, job.Id.ToString());
    }
}
