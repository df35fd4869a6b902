using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class JobsCommand
{
    public static Command Create()
    {
        var all = new Option<bool>("--all") { Description = "Finished ones too, newest first" };
        return new Command("jobs", "What runs and what waits") { all }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var jobs = await client.JobsAsync(call.Get(all), cancellationToken);
            if (call.Json)
            {
                call.Screen.WriteJson(jobs, ApiJson.Default.IReadOnlyListJobView);
                return ExitCode.Done;
            }
            var listing = new Listing("JOB", "STATE", "KIND", "TITLE", "WORKERS", "STEP", "TOOK");
            foreach (var job in jobs)
                listing.Add(job.Job, job.State, job.Kind, job.Title, $"{job.Workers.Count}/{job.WorkersWanted}", Step(job), Took(job));
            listing.WriteTo(call.Screen, call.Get(all) ? "No jobs yet." : "Nothing runs or waits. `aisle jobs --all` shows what has finished.");
            return ExitCode.Done;
        });
    }

    internal static string Step(JobView job) => job.Step is { } step ? job.Steps is { } steps ? $"{step}/{steps}" : $"{step}" : "-";

    internal static string Took(JobView job) => job switch
    {
        { FromCache: true } => "known",
        { StartedAt: { } start, FinishedAt: { } finish } => Amount.Time(finish - start),
        { StartedAt: { } start } => Amount.Time(DateTimeOffset.UtcNow - start),
        _ => "-",
    };
}
