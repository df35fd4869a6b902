using System.CommandLine;
using System.Security.Cryptography;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class VerifyCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "A name or digest of what a job made" };
        var sample = new Option<double>("--sample") { Description = "Share of a training run's stretches between checkpoints to compute again, above 0 and at most 1", HelpName = "P", DefaultValueFactory = _ => 1 };
        var seed = new Option<int?>("--seed") { Description = "Draws the sample; else one that nobody could foresee", HelpName = "N" };
        var fromStep = new Option<long?>("--from-step") { Description = "For training: from the newest checkpoint at or before this step", HelpName = "S" };
        sample.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && double.TryParse(text, out var share) && share is not (> 0 and <= 1))
                result.AddError($"--sample is {share}; it must be above 0 and at most 1.");
        });
        fromStep.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && long.TryParse(text, out var step) && step < 0) result.AddError($"--from-step is {step}; steps start at 0.");
        });
        return new Command("verify", "Compute something again and compare digests") { name, sample, seed, fromStep }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var drawnBy = call.Get(seed) ?? RandomNumberGenerator.GetInt32(int.MaxValue);
            var accepted = await client.VerifyAsync(new VerifyRequest(call.Get(name), call.Get(sample), call.Get(fromStep), drawnBy), cancellationToken);
            var finished = accepted.Stretches is null
                ? await FollowAsync(client, accepted, call.Screen, cancellationToken)
                : await FollowSampleAsync(client, accepted, accepted.Stretches, drawnBy, call.Screen, cancellationToken);
            if (call.Json)
            {
                call.Screen.WriteJson(finished, CommandJson.Default.VerifyFinishedView);
                return finished.Ok ? ExitCode.Done : ExitCode.Failed;
            }
            Print(finished, call.Screen);
            try
            {
                await PrintInputsAsync(client, call.Get(name), call.Screen, cancellationToken);
            }
            catch (AisleException)
            {
                // The verdict stands without it.
            }
            return finished.Ok ? ExitCode.Done : ExitCode.Failed;
        });
    }

    private static async Task<VerifyFinishedView> FollowAsync(AisleClient client, VerifyAcceptedView accepted, Screen screen, CancellationToken cancellationToken)
    {
        var run = new RunProgress(accepted.Job, $"verify {accepted.Output}");
        var follower = new JobFollower(client, TimeProvider.System) { HasAnswered = true, Dropped = e => screen.Say($"{e.What}; waiting for it to come back.") };
        var events = follower.FollowAsync(accepted.Job, cancellationToken);
        if (screen.Json)
        {
            await foreach (var e in events)
            {
                run.Apply(e, TimeProvider.System.GetUtcNow());
                if (e.Event != "finished" || e.Job != accepted.Job) screen.WriteJson(e, ApiJson.Default.JobEvent);
            }
        }
        else
        {
            await new RunView(screen.Talk, run, TimeProvider.System).ShowAsync(events, seen: null, cancellationToken);
        }
        return Compare(accepted, run.Root);
    }

    /// <summary>The stretches' jobs run side by side; they are shown one after the other.</summary>
    private static async Task<VerifyFinishedView> FollowSampleAsync(
        AisleClient client, VerifyAcceptedView accepted, IReadOnlyList<StretchView> stretches, int seed, Screen screen, CancellationToken cancellationToken)
    {
        screen.Say($"{stretches.Count} of {accepted.Of} stretches, drawn by seed {seed}: {string.Join(", ", stretches.Select(stretch => $"{stretch.FromStep}-{stretch.ToStep}"))}.");
        var outcomes = new List<StretchOutcomeView>();
        VerifyFinishedView last = null!;
        foreach (var stretch in stretches)
        {
            last = await FollowAsync(client, new VerifyAcceptedView(stretch.Job, stretch.Expected, stretch.Output, stretch.FromStep, stretch.ToStep), screen, cancellationToken);
            outcomes.Add(new StretchOutcomeView(stretch.FromStep, stretch.ToStep, last.Ok, stretch.Expected, last.Reexecuted, last.Job, last.State, last.Error));
        }
        // The last stretch leads to what was asked about.
        return last with { Ok = outcomes.TrueForAll(outcome => outcome.Ok), Stretches = outcomes, Of = accepted.Of, Seed = seed };
    }

    /// <summary>What a re-execution takes as given: it proves the step from these to the output, not how they came to be.</summary>
    private static async Task PrintInputsAsync(AisleClient client, string name, Screen screen, CancellationToken cancellationToken)
    {
        var lineage = await client.LineageAsync(name, cancellationToken);
        foreach (var (port, input) in lineage.Inputs)
        {
            var from = input.Job is { } job ? $"made by {job} ({input.Title}); `aisle verify {input.Digest}` checks that" : $"put by a person{(input.Names.Count > 0 ? $" as {input.Names[0]}" : "")}";
            screen.Say($"Given: {port} {input.Digest.Short}, {from}.");
        }
    }

    internal static VerifyFinishedView Compare(VerifyAcceptedView accepted, JobProgress job)
    {
        Artifacts.Digest? reexecuted = job.Outputs.TryGetValue(accepted.Output, out var digest) ? digest : null;
        return new VerifyFinishedView("finished", job.State == "succeeded" && reexecuted == accepted.Expected, accepted.Expected, reexecuted,
            accepted.FromStep, accepted.ToStep, accepted.Job, job.State, job.Error);
    }

    private static void Print(VerifyFinishedView finished, Screen screen)
    {
        if (finished.Stretches is { } stretches)
        {
            foreach (var drawn in stretches)
            {
                var how = drawn.Ok ? "equal" : drawn.State != "succeeded" ? $"{drawn.State}{(drawn.Error is null ? "" : $": {drawn.Error}")}" : $"DIFFERS, re-executed {drawn.Reexecuted}";
                screen.WriteLine($"steps {drawn.FromStep} to {drawn.ToStep}  {drawn.Expected}  {how}");
            }
            screen.Say(finished.Ok
                ? $"Equal: {stretches.Count} of {finished.Of} stretches (seed {finished.Seed}). A wrong one among the others would have been drawn with probability {Math.Max(0, stretches.Count - 1.0) / Math.Max(1, finished.Of!.Value - 1):0%}; `--sample 1` makes all of it again."
                : "They differ: one of the two computations was wrong. `aisle bisect` with the re-execution names the step; `aisle nodes` tells which machines took part.");
            return;
        }
        screen.WriteLine($"expected     {finished.Expected}");
        screen.WriteLine($"re-executed  {finished.Reexecuted?.ToString() ?? "nothing"}");
        var stretch = finished is { FromStep: { } from, ToStep: { } to } ? $" (steps {from} to {to})" : "";
        screen.Say(finished.Ok ? $"Equal{stretch}."
            : finished.State != "succeeded" ? $"The re-execution {finished.Job} {finished.State}{(finished.Error is null ? "." : $": {finished.Error}")}"
            : $"They differ{stretch}: one of the two computations was wrong. `aisle show {finished.Job}` and `aisle nodes` tell which machines and numeric classes took part.");
    }
}
