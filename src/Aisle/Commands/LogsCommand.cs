using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class LogsCommand
{
    public static Command Create()
    {
        var job = new Argument<string>("JOB") { Description = "The job; its children's lines are there too" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Wait for what is still to come" };
        return new Command("logs", "What a job and its children said") { job, follow }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var events = call.Get(follow)
                ? new JobFollower(client, TimeProvider.System) { Dropped = e => call.Screen.Say($"{e.What}; waiting for it to come back.") }.FollowAsync(call.Get(job), cancellationToken)
                : client.EventsAsync(call.Get(job), follow: false, cancellationToken);
            var run = new RunProgress(call.Get(job), (await client.JobAsync(call.Get(job), cancellationToken)).Title);
            var lines = new RunLines(run);
            await foreach (var e in events)
            {
                var about = run.Apply(e, TimeProvider.System.GetUtcNow());
                if (e.Event is not ("log" or "state" or "finished" or "workerLost" or "workerJoined" or "workerQuarantined" or "recovered")) continue;
                if (call.Json) call.Screen.WriteJson(e, ApiJson.Default.JobEvent);
                else if (lines.Line(e, about, TimeProvider.System.GetUtcNow()) is { } line) call.Screen.WriteLine(line);
            }
            return ExitCode.Done;
        });
    }
}
