using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class VerifyCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "A name or digest of what a job made" };
        var sample = new Option<double>("--sample") { Description = "Share of the work to compute again, above 0 and at most 1", HelpName = "P", DefaultValueFactory = _ => 1 };
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
        return new Command("verify", "Compute something again and compare digests") { name, sample, fromStep }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var accepted = await client.VerifyAsync(new VerifyRequest(call.Get(name), call.Get(sample), call.Get(fromStep)), cancellationToken);
            var finished = await FollowAsync(client, accepted, call.Screen, cancellationToken);
            if (call.Json) call.Screen.WriteJson(finished, CommandJson.Default.VerifyFinishedView);
            else Print(finished, call.Screen);
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

    internal static VerifyFinishedView Compare(VerifyAcceptedView accepted, JobProgress job)
    {
        Artifacts.Digest? reexecuted = job.Outputs.TryGetValue(accepted.Output, out var digest) ? digest : null;
        return new VerifyFinishedView("finished", job.State == "succeeded" && reexecuted == accepted.Expected, accepted.Expected, reexecuted,
            accepted.FromStep, accepted.ToStep, accepted.Job, job.State, job.Error);
    }

    private static void Print(VerifyFinishedView finished, Screen screen)
    {
        screen.WriteLine($"expected     {finished.Expected}");
        screen.WriteLine($"re-executed  {finished.Reexecuted?.ToString() ?? "nothing"}");
        var stretch = finished is { FromStep: { } from, ToStep: { } to } ? $" (steps {from} to {to})" : "";
        screen.Say(finished.Ok ? $"Equal{stretch}."
            : finished.State != "succeeded" ? $"The re-execution {finished.Job} {finished.State}{(finished.Error is null ? "." : $": {finished.Error}")}"
            : $"They differ{stretch}: one of the two computations was wrong. `aisle show {finished.Job}` and `aisle nodes` tell which machines and numeric classes took part.");
    }
}
