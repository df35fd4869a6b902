using System.CommandLine;
using Aisle.Api;

namespace Aisle.Commands;

public static class CancelCommand
{
    public static Command Create()
    {
        var job = new Argument<string>("JOB") { Description = "The job, and with it everything it wanted" };
        return new Command("cancel", "Stop a job") { job }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            await client.CancelAsync(call.Get(job), cancellationToken);
            if (call.Json) call.Screen.WriteJson(new JobAcceptedView(call.Get(job)), ApiJson.Default.JobAcceptedView);
            else call.Screen.Say($"Cancelled {call.Get(job)}.");
            return ExitCode.Done;
        });
    }
}
