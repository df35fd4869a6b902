using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;
using Aisle.Pipelines;

namespace Aisle.Head;

/// <summary>Pipelines: a run wants its ready steps as jobs, until it has its outputs or a step has failed.</summary>
internal sealed partial class JobController
{
    private const string RunEntry = "pipeline.json";
    private readonly Dictionary<Digest, PipelineRun> _runs = [];

    /// <summary>Reads a spec, pins its inputs to what their names mean now, and wants the run.</summary>
    /// <exception cref="AisleException">The spec is faulty, an input has no content yet, or no node is there to run it.</exception>
    public async Task<JobId> SubmitPipelineAsync(RunRequest request, CancellationToken cancellationToken)
    {
        var spec = PipelineSpec.Parse(request.Spec, request.Sets);
        var state = ledger.State;
        var inputs = spec.Inputs.ToImmutableSortedDictionary(input => input.Key, input => NameApi.Resolve(state, input.Value).Digest, StringComparer.Ordinal);
        var run = new PipelineRun(spec.ToText(), inputs, NumericClassOfFleet(), request.Workers, request.Recompute);
        var plan = run.Plan();
        var stored = await artifacts.PutBytesAsync(RunEntry, JsonSerializer.SerializeToUtf8Bytes(run, HeadJson.Default.PipelineRun), cancellationToken: cancellationToken);
        var answer = await ledger.AgreeAsync(
            new SubmitJob(JobKind.Pipeline, spec.Name, stored.Digest, plan.Job.Identity, Recompute: request.Recompute) { At = time.GetUtcNow() }, cancellationToken);
        return ((JobAccepted)answer).Job;
    }

    public Task CancelAsync(Job job, CancellationToken cancellationToken) => ledger.AgreeAsync(new CancelJob(job.Id) { At = time.GetUtcNow() }, cancellationToken);

    private async Task AdvancePipelinesAsync(CancellationToken cancellationToken)
    {
        foreach (var job in ledger.State.Jobs.Values)
        {
            if (job.Kind != JobKind.Pipeline || job.IsFinished) continue;
            var plan = (await RunOfAsync(job, cancellationToken)).Plan();
            var children = ledger.State.Jobs.Values.Where(child => child.Parent == job.Id).ToList();
            if (children.Find(child => child.State == JobState.Failed) is { } failed)
            {
                await EndPipelineAsync(job, JobState.Failed, $"{failed.Title} ({failed.Id}) failed: {failed.Error}", children, cancellationToken);
                continue;
            }
            if (children.Find(child => child.State == JobState.Cancelled) is { } cancelled)
            {
                await EndPipelineAsync(job, JobState.Cancelled, $"{cancelled.Title} ({cancelled.Id}) was cancelled.", children, cancellationToken);
                continue;
            }

            var finished = children.Where(child => child.State == JobState.Succeeded)
                .ToDictionary(child => StepOf(child, plan.Spec), child => child.Outputs, StringComparer.Ordinal);
            var progress = plan.Advance(finished);
            foreach (var step in progress.Ready)
            {
                var identity = step.Job.Identity;
                if (!children.Any(child => child.Identity == identity)) await WantStepAsync(job, plan.Spec, step, cancellationToken);
            }
            if (progress.Outputs is { } outputs)
            {
                foreach (var (name, output) in plan.Spec.Publish)
                    await ledger.AgreeAsync(new MoveName(name, outputs[output], By: job.Id) { At = time.GetUtcNow() }, cancellationToken);
                await FinishAsync(job, JobState.Succeeded, outputs, null, null, null, cancellationToken);
            }
        }
    }

    private async Task WantStepAsync(Job pipeline, PipelineSpec spec, ReadyStep step, CancellationToken cancellationToken)
    {
        var stored = await artifacts.PutBytesAsync(JobSpec.EntryName, step.Job.ToCanonicalJson(), cancellationToken: cancellationToken);
        var run = await RunOfAsync(pipeline, cancellationToken);
        var workers = step.Job.Kind == JobKind.Train ? run.Workers ?? step.Workers : step.Workers;
        await ledger.AgreeAsync(
            new SubmitJob(step.Job.Kind, $"{spec.Name}/{step.Name}", stored.Digest, step.Job.Identity, pipeline.Id, workers, run.Recompute) { At = time.GetUtcNow() }, cancellationToken);
        // A step whose result is known ended with this command; the next step may be ready now.
        Wake();
    }

    private async Task EndPipelineAsync(Job job, JobState state, string why, List<Job> children, CancellationToken cancellationToken)
    {
        foreach (var child in children.Where(child => !child.IsFinished))
            await ledger.AgreeAsync(new CancelJob(child.Id) { At = time.GetUtcNow() }, cancellationToken);
        await FinishAsync(job, state, ImmutableDictionary<string, Digest>.Empty, why, null, null, cancellationToken);
    }

    private static string StepOf(Job child, PipelineSpec spec) => child.Title[(spec.Name.Length + 1)..];

    /// <summary>The class that most nodes share: jobs bound to it have the most room.</summary>
    private string NumericClassOfFleet() =>
        fleet.Nodes.Where(node => node.Up).GroupBy(node => node.Last.NumericClass, StringComparer.Ordinal)
            .OrderByDescending(group => group.Count()).ThenBy(group => group.Key, StringComparer.Ordinal).FirstOrDefault()?.Key
        ?? throw new AisleException("AISLE-3021", "No node is up to run anything.", "Wait a moment, then look at `aisle nodes`.");

    private async Task<PipelineRun> RunOfAsync(Job job, CancellationToken cancellationToken)
    {
        if (_runs.TryGetValue(job.Spec, out var known)) return known;
        var json = await artifacts.ReadEntryAsync(job.Spec, RunEntry, cancellationToken: cancellationToken);
        if (_runs.Count >= 256) _runs.Clear();
        return _runs[job.Spec] = JsonSerializer.Deserialize(json.Span, HeadJson.Default.PipelineRun)
            ?? throw new AisleException("AISLE-3022", $"The spec of {job.Id} is empty.", "Cancel it and run it again.");
    }
}

/// <summary>A pipeline as it was asked for, with its inputs pinned; what a run needs to go on after a restart.</summary>
internal sealed record PipelineRun(string Spec, ImmutableSortedDictionary<string, Digest> Inputs, string NumericClass, int? Workers, bool Recompute)
{
    private PipelinePlan? _plan;

    public PipelinePlan Plan() => _plan ??= new PipelinePlan(PipelineSpec.Parse(Spec), Inputs, NumericClass);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(PipelineRun))]
internal sealed partial class HeadJson : JsonSerializerContext;
