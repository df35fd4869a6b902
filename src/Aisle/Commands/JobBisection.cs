using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Head;
using Aisle.Jobs;
using Aisle.Ledger;
using Aisle.Monitoring;
using Aisle.Tensors;
using Aisle.Terminal;
using Aisle.Training;
using Aisle.Training.Checkpoints;
using Aisle.Training.LanguageModels;

namespace Aisle.Commands;

/// <summary>
/// Two training runs of a data centre. Their step logs name the first step that differs; the states of both at that step, stored or made again from the
/// checkpoint before it, name the tensors. A step that does not come out again as its log has it was computed wrongly in that run.
/// </summary>
internal sealed class JobBisection(AisleClient client, Screen screen)
{
    private sealed record Run(string Asked, JobView Job, JobSpec Spec, StepLog Steps);

    /// <summary>A state of a run; made again where its log tells another hash than <see cref="Remade"/> has.</summary>
    private sealed record State(Digest Checkpoint, ulong? Remade);

    public async Task<BisectView> RunAsync(string first, string second, CancellationToken cancellationToken)
    {
        var (a, b) = (await FindAsync(first, cancellationToken), await FindAsync(second, cancellationToken));
        var comparison = StepLogComparison.Of(a.Steps, b.Steps);
        var view = new BisectView(comparison.FirstDifferent is null, first, second, comparison.Compared, comparison.LastSame, comparison.FirstDifferent) { SpecDifferences = Differences(a.Spec, b.Spec) };
        if (comparison.FirstDifferent is not { } step) return view with { Summary = $"Same: no step differs, of {comparison.Compared} that both tell." };

        var because = view.SpecDifferences!.Count > 0 ? " Their specs differ too, which explains it." : " Their specs are the same: one of the two was computed wrongly.";
        if (a.Steps.Stride > 1 || b.Steps.Stride > 1) because += $" (Long runs keep every {Math.Max(a.Steps.Stride, b.Steps.Stride)}th step: the first may be earlier, after step {comparison.LastSame ?? 0}.)";
        var (stateA, stateB) = (await StateAsync(a, step, cancellationToken), await StateAsync(b, step, cancellationToken));
        if (stateA is null || stateB is null) return view with { Summary = $"They differ first at step {step}.{because} The state there is the run's end, not a stored one: the tensor cannot be named." };

        var tensors = await CompareAsync(stateA.Checkpoint, stateB.Checkpoint, a, cancellationToken);
        var wrong = !ComesOutAgain(a, step, stateA) ? a : !ComesOutAgain(b, step, stateB) ? b : null;
        view = view with { WrongRun = wrong?.Job.Job };
        if (wrong is null)
        {
            return view with
            {
                TensorsAtStep = step, Tensors = tensors, Tensor = tensors.Count > 0 ? tensors[0].Tensor : null,
                Summary = $"They differ first at step {step}.{because} {BisectCommand.Tell(step, tensors)}",
            };
        }
        // What the wrong run really had is only in what it stored afterwards.
        because = $" {wrong.Job.Job} does not make that step again as its log has it: the workers that took part then computed it wrongly (`aisle logs {wrong.Job.Job}`, `aisle nodes`).";
        var right = wrong == a ? b : a;
        if (wrong.Job.Checkpoints.FirstOrDefault(checkpoint => checkpoint.Step >= step) is not { } after || await StateAsync(right, after.Step, cancellationToken) is not { } then)
            return view with { Summary = $"They differ first at step {step}.{because} It stored no state at or after that step, so the tensor cannot be named." };
        tensors = wrong == a ? await CompareAsync(after.Digest, then.Checkpoint, a, cancellationToken) : await CompareAsync(then.Checkpoint, after.Digest, a, cancellationToken);
        return view with
        {
            TensorsAtStep = after.Step, Tensors = tensors, Tensor = tensors.Count > 0 ? tensors[0].Tensor : null,
            Summary = $"They differ first at step {step}.{because} {BisectCommand.Tell(after.Step, tensors)} (The nearest state that it stored.)",
        };
    }

    private async Task<Run> FindAsync(string target, CancellationToken cancellationToken)
    {
        var id = JobId.TryParse(target, out _) ? target : (await client.LineageAsync(target, cancellationToken)).Job
            ?? throw new AisleException("AISLE-5185", $"{target} was put by a person, not made by a job.", "Name a training job, or a model that one made.");
        var job = await client.JobAsync(id, cancellationToken);
        foreach (var child in job.Kind == "train" ? [] : job.Children)
        {
            if ((await client.JobAsync(child, cancellationToken)) is { Kind: "train" } training) job = training;
        }
        if (job.Kind != "train") throw new AisleException("AISLE-5185", $"{target} ({job.Job}) trains nothing.", "Name a training job, its pipeline, or a model that one made.");
        var spec = JobSpec.Parse((await client.Artifacts.ReadEntryAsync(job.Spec, JobSpec.EntryName, cancellationToken: cancellationToken)).Span);
        return new Run(target, job, spec, await RunRecord.StepsAsync(client, job.Job, cancellationToken));
    }

    /// <summary>Null for the run's own end, which is a model and not a state.</summary>
    private async Task<State?> StateAsync(Run run, long step, CancellationToken cancellationToken)
    {
        if (run.Job.Checkpoints.FirstOrDefault(checkpoint => checkpoint.Step == step) is { } stored) return new State(stored.Digest, null);
        ReplayAcceptedView replay;
        try
        {
            replay = await client.ReplayAsync(run.Job.Job, step, cancellationToken);
        }
        catch (ApiException e) when (e.Code == "AISLE-3033")
        {
            return null;
        }
        screen.Say($"Making step {step} of {run.Job.Job} again from step {replay.FromStep} ({replay.Job}).");
        JobView job;
        await foreach (var _ in new JobFollower(client, TimeProvider.System) { HasAnswered = true }.FollowAsync(replay.Job, cancellationToken))
        {
            // Only its end matters.
        }
        job = await client.JobAsync(replay.Job, cancellationToken);
        if (job.State != "succeeded" || !job.Outputs.TryGetValue(replay.Output, out var state))
            throw new AisleException("AISLE-5186", $"{replay.Job}, which makes step {step} of {run.Job.Job} again, {job.State}: {job.Error ?? "it said no more"}.", $"See `aisle logs {replay.Job}`, then bisect again.");
        return new State(state, (await RunRecord.StepsAsync(client, replay.Job, cancellationToken)).At(step)?.WeightsHash);
    }

    private static bool ComesOutAgain(Run run, long step, State state) => state.Remade is not { } remade || run.Steps.At(step)!.Value.WeightsHash == remade;

    private async Task<IReadOnlyList<TensorDifference>> CompareAsync(Digest first, Digest second, Run shape, CancellationToken cancellationToken)
    {
        if (first == second) return [];
        var folder = Directory.CreateTempSubdirectory("aisle-bisect-").FullName;
        try
        {
            await client.Artifacts.GetAsync(first, Path.Combine(folder, "a"), null, cancellationToken);
            await client.Artifacts.GetAsync(second, Path.Combine(folder, "b"), null, cancellationToken);
            return StateComparison.Of(Path.Combine(folder, "a"), Path.Combine(folder, "b"), await TensorsAsync(shape, cancellationToken));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private async Task<IReadOnlyList<TensorSlot>> TensorsAsync(Run run, CancellationToken cancellationToken)
    {
        // Of a fine-tuned model only the adapters are trained, and those have no names here.
        if (!run.Spec.Inputs.TryGetValue("tokens", out var input) || run.Spec.Inputs.ContainsKey("model")) return [];
        var tokens = TokensDescription.Parse(await client.Artifacts.ReadEntryAsync(input, TokensDescription.FileName, cancellationToken: cancellationToken));
        return LanguageModelTraining.ConfigOf(TrainingRecipe.FromParameters(TrainingStretch.RecipeOf(run.Spec), run.Spec.Seed), tokens).Tensors;
    }

    private static List<string> Differences(JobSpec first, JobSpec second)
    {
        var differences = new List<string>();
        if (first.Program != second.Program) differences.Add($"program: {first.Program} against {second.Program}");
        if (first.Seed != second.Seed) differences.Add($"seed: {first.Seed} against {second.Seed}");
        if (first.NumericClass != second.NumericClass) differences.Add($"numeric class: {first.NumericClass} against {second.NumericClass}");
        Compare(first.Parameters, second.Parameters, value => value);
        Compare(first.Inputs, second.Inputs, digest => digest.Short);
        return differences;

        void Compare<T>(IReadOnlyDictionary<string, T> a, IReadOnlyDictionary<string, T> b, Func<T, string> show)
        {
            foreach (var key in a.Keys.Union(b.Keys).Order(StringComparer.Ordinal))
            {
                var (inA, inB) = (a.TryGetValue(key, out var x), b.TryGetValue(key, out var y));
                if (!inA || !inB || !EqualityComparer<T>.Default.Equals(x, y)) differences.Add($"{key}: {(inA ? show(x!) : "none")} against {(inB ? show(y!) : "none")}");
            }
        }
    }
}
