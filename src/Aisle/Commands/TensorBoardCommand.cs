using System.CommandLine;
using Aisle.Api;
using Aisle.Monitoring;
using Aisle.Monitoring.TensorBoard;
using Aisle.Training;

namespace Aisle.Commands;

public static class TensorBoardCommand
{
    public static Command Create()
    {
        var job = new Argument<string>("JOB") { Description = "A training job or its pipeline" };
        var folder = new Argument<string?>("DIR") { Description = "Where to put it; else a folder called as the job, here", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => null };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on until the run ends, writing each step as it is made" };
        return new Command("tensorboard", "A run's loss, learning rate, gradient norm and speed as a TensorBoard event file") { job, folder, follow }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var log = await RunRecord.StepsAsync(client, call.Get(job), cancellationToken);
            var path = Path.GetFullPath(call.Get(folder) ?? call.Get(job));
            var view = await client.JobAsync(call.Get(job), cancellationToken);
            using var events = EventFile.Create(path, view.StartedAt ?? view.SubmittedAt);
            var written = 0;
            DateTimeOffset? before = null;
            foreach (var step in log.Steps) Write(step);
            if (call.Get(follow))
            {
                call.Screen.Say($"Writing to {path}; TensorBoard may be pointed at it now.");
                var last = log.Steps.Count > 0 ? log.Steps[^1].Step : 0;
                var follower = new JobFollower(client, TimeProvider.System) { HasAnswered = true, Dropped = e => call.Screen.Say($"{e.What}; waiting for it to come back.") };
                await foreach (var e in follower.FollowAsync(call.Get(job), cancellationToken))
                {
                    if (e is not { Event: "step", Step: { } step, At: { } at } || step <= last) continue;
                    last = step;
                    Write(new StepFigures(step, at, 0, e.Loss ?? double.NaN, e.LearningRate ?? double.NaN, e.GradientNorm ?? double.NaN, e.TokensPerSecond ?? double.NaN, e.Workers ?? 0, false));
                }
            }
            if (call.Json) call.Screen.WriteJson(new TensorBoardView(events.Path, written), CommandJson.Default.TensorBoardView);
            else
            {
                call.Screen.WriteLine(events.Path);
                call.Screen.Say($"{written} steps. `tensorboard --logdir {path}` shows them.");
            }
            return ExitCode.Done;

            void Write(StepFigures step)
            {
                events.Scalars(step.At, step.Step, RunRecorder.Scalars(step, (step.At - before)?.TotalSeconds ?? double.NaN));
                before = step.At;
                written++;
            }
        });
    }
}
