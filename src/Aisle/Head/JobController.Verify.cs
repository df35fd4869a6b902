using System.Collections.Immutable;
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

        Checkpoint? from = null;
        long? last = null;
        if (made.Kind == JobKind.Train)
        {
            last = long.Parse(spec.Parameters["steps"], CultureInfo.InvariantCulture);
            var latestStart = request.FromStep ?? (long)(last.Value * (1 - request.Sample));
            from = made.Checkpoints.LastOrDefault(checkpoint => checkpoint.Step <= latestStart && checkpoint.Step < last);
            if (from is not null) spec = TrainingResume.From(spec, from);
        }
        var stored = await artifacts.PutBytesAsync(JobSpec.EntryName, spec.ToCanonicalJson(), cancellationToken: cancellationToken);
        var answer = await ledger.AgreeAsync(
            new SubmitJob(spec.Kind, $"verify {made.Title}", stored.Digest, spec.Identity, Recompute: true) { At = time.GetUtcNow() }, cancellationToken);
        return new VerifyAcceptedView(((JobAccepted)answer).Job.ToString(), target, output, last is null ? null : from?.Step ?? 0, last);
    }
}

/// <summary>Training from a checkpoint is a job like any other: the checkpoint is an input, its step a parameter.</summary>
internal static class TrainingResume
{
    public const string Port = "resume", StepParameter = "resumeStep";

    public static JobSpec From(JobSpec spec, Checkpoint checkpoint) => spec with
    {
        Inputs = spec.Inputs.SetItem(Port, checkpoint.Digest),
        Parameters = spec.Parameters.SetItem(StepParameter, checkpoint.Step.ToString(CultureInfo.InvariantCulture)),
    };

    /// <summary>The checkpoint that a spec starts from, or null for the beginning.</summary>
    public static Checkpoint? Of(JobSpec spec) =>
        spec.Inputs.TryGetValue(Port, out var digest) ? new Checkpoint(long.Parse(spec.Parameters[StepParameter], CultureInfo.InvariantCulture), digest) : null;

    /// <summary>The recipe's own parameters; with the model that is fine-tuned, where there is one, by digest.</summary>
    public static ImmutableSortedDictionary<string, string> RecipeOf(JobSpec spec)
    {
        var parameters = spec.Parameters.Remove(StepParameter);
        return spec.Inputs.TryGetValue("model", out var frozen) ? parameters.SetItem("model.base", frozen.ToString()) : parameters;
    }
}
