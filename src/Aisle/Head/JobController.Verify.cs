using System.Globalization;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>Verification by re-execution: the same job again, its known result not looked at, or a stretch of a training run from one of its checkpoints.</summary>
internal sealed partial class JobController
{
    /// <summary>Starts the re-execution that must give the target again.</summary>
    /// <exception cref="AisleException">The target is nobody's output: there is nothing to re-execute.</exception>
    public async Task<VerifyAcceptedView> VerifyAsync(VerifyRequest request, CancellationToken cancellationToken)
    {
        if (request.Sample is not (> 0 and <= 1))
            throw new AisleException("AISLE-3030", $"A sample of {request.Sample} cannot be re-executed.", "Give a share above 0 and at most 1, such as 0.1.");
        var state = ledger.State;
        var target = NameApi.Resolve(state, request.Target).Digest;
        var made = state.ProducerOf(target)
            ?? throw new AisleException("AISLE-3031", $"{request.Target} ({target.Short}) was put by a person, not made by a job.", "Verify what a job made: a model, tokens, an evaluation; `aisle lineage NAME` shows them.");
        var spec = JobSpec.Parse((await artifacts.ReadEntryAsync(made.Spec, JobSpec.EntryName, cancellationToken: cancellationToken)).Span);
        var output = made.Outputs.First(pair => pair.Value == target).Key;

        // A program of a user's keeps its number of steps to itself: it is re-executed as a whole.
        var hasSteps = made.Kind == JobKind.Train && spec.Parameters.ContainsKey("steps");
        if (hasSteps && request.FromStep is null && request.Sample < 1 && !made.Checkpoints.IsEmpty)
            return await VerifySampleAsync(request, made, spec, target, output, cancellationToken);

        Checkpoint? from = null;
        long? last = null;
        if (hasSteps)
        {
            last = LastStep(spec);
            if (request.FromStep is { } latestStart) from = made.Checkpoints.LastOrDefault(checkpoint => checkpoint.Step <= latestStart && checkpoint.Step < last);
            if (from is not null) spec = TrainingStretch.From(spec, from);
        }
        var job = await ReexecuteAsync(spec, $"verify {made.Title}", recompute: true, cancellationToken);
        return new VerifyAcceptedView(job.ToString(), target, output, last is null ? null : from?.Step ?? 0, last);
    }

    /// <summary>Starts making the state at a step again, from the newest checkpoint before it. Work that is known already is not done twice.</summary>
    /// <exception cref="AisleException">AISLE-3033: the run has no such step between its start and its end.</exception>
    public async Task<ReplayAcceptedView> ReplayAsync(Job job, long toStep, CancellationToken cancellationToken)
    {
        var trained = TrainingOf(job);
        var spec = await SpecOfAsync(trained, cancellationToken);
        var start = TrainingStretch.Of(spec);
        if (toStep <= (start?.Step ?? 0) || toStep >= LastStep(spec))
            throw new AisleException("AISLE-3033", $"{trained.Id} goes from step {start?.Step ?? 0} to {LastStep(spec)}; the state at step {toStep} is not made on the way.", "Ask for a step in between.");
        var from = trained.Checkpoints.LastOrDefault(checkpoint => checkpoint.Step < toStep) ?? start;
        var stretch = TrainingStretch.UpTo(from is null ? spec : TrainingStretch.From(spec, from), toStep);
        var replay = await ReexecuteAsync(stretch, $"replay {trained.Title}", recompute: false, cancellationToken);
        return new ReplayAcceptedView(replay.ToString(), TrainingStretch.StatePort, from?.Step ?? 0, toStep);
    }

    /// <summary>Each stretch from one stored state to the next is a claim of its own: that those steps lead from the one to the other. A sample of the claims is checked.</summary>
    private async Task<VerifyAcceptedView> VerifySampleAsync(VerifyRequest request, JobResult made, JobSpec spec, Digest target, string output, CancellationToken cancellationToken)
    {
        var last = LastStep(spec);
        List<Checkpoint?> states = [TrainingStretch.Of(spec), .. made.Checkpoints.Where(checkpoint => checkpoint.Step < last)];
        var drawn = SampleOfStretches.Draw(states.Count, request.Sample, request.Seed);
        var stretches = new List<StretchView>();
        foreach (var i in drawn)
        {
            var next = i + 1 < states.Count ? states[i + 1] : null;
            var stretch = states[i] is { } from ? TrainingStretch.From(spec, from) : spec;
            if (next is not null) stretch = TrainingStretch.UpTo(stretch, next.Step);
            var (start, end) = (states[i]?.Step ?? 0, next?.Step ?? last);
            var job = await ReexecuteAsync(stretch, $"verify {made.Title} {start}-{end}", recompute: true, cancellationToken);
            stretches.Add(new StretchView(job.ToString(), next?.Digest ?? target, next is null ? output : TrainingStretch.StatePort, start, end));
        }
        return new VerifyAcceptedView(stretches[0].Job, target, output, stretches[0].FromStep, stretches[^1].ToStep, stretches, states.Count);
    }

    private async Task<JobId> ReexecuteAsync(JobSpec spec, string title, bool recompute, CancellationToken cancellationToken)
    {
        var stored = await artifacts.PutBytesAsync(JobSpec.EntryName, spec.ToCanonicalJson(), cancellationToken: cancellationToken);
        var answer = await ledger.AgreeAsync(new SubmitJob(spec.Kind, title, stored.Digest, spec.Identity, Recompute: recompute) { At = time.GetUtcNow() }, cancellationToken);
        return ((JobAccepted)answer).Job;
    }

    private static long LastStep(JobSpec spec) => TrainingStretch.StopOf(spec) ?? (spec.Parameters.TryGetValue("steps", out var steps)
        ? long.Parse(steps, CultureInfo.InvariantCulture)
        : throw new AisleException("AISLE-3034", $"How many steps {spec.Program} makes is known to the user's program alone.", "Run it again as a whole: `aisle verify NAME`."));
}
