using System.CommandLine;
using Aisle.Api;

namespace Aisle.Commands;

public static class ScaleCommand
{
    public static Command Create()
    {
        var job = new Argument<string>("JOB") { Description = "A training job, or the pipeline that has one" };
        var workers = new Argument<int>("N") { Description = "Workers wanted from now on, at least 1" }.AtLeast(1);
        return new Command("scale", "Give a running job more workers or fewer; its result does not change") { job, workers }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var accepted = await client.ScaleAsync(call.Get(job), call.Get(workers), cancellationToken);
            if (call.Json) call.Screen.WriteJson(accepted, ApiJson.Default.JobAcceptedView);
            else call.Screen.Say($"{accepted.Job} now wants {call.Get(workers)} workers.");
            return ExitCode.Done;
        });
    }
}
