using System.CommandLine;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Ledger;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class ShowCommand
{
    private const int MostFilesPrinted = 20;
    private const int MostFilesInJson = 100_000;

    public static Command Create()
    {
        var target = new Argument<string>("NAME-or-JOB") { Description = "A job like job-3, or a name, name@alias, name@version or a digest" };
        return new Command("show", "All there is to know about a job or a name") { target }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            if (JobId.TryParse(call.Get(target), out _)) ShowJob(await client.JobAsync(call.Get(target), cancellationToken), call.Screen);
            else await ShowContentAsync(client, call.Get(target), call.Screen, cancellationToken);
            return ExitCode.Done;
        });
    }

    private static void ShowJob(JobView job, Screen screen)
    {
        if (screen.Json)
        {
            screen.WriteJson(job, ApiJson.Default.JobView);
            return;
        }
        screen.WriteLine($"{job.Job}  {job.Title}");
        screen.WriteLine($"state      {job.State}{(job.FromCache ? " (known result, no work)" : "")}");
        screen.WriteLine($"kind       {job.Kind}{(job.Parent is null ? "" : $", wanted by {job.Parent}")}{(job.Attempt > 1 ? $", attempt {job.Attempt}" : "")}");
        screen.WriteLine($"took       {JobsCommand.Took(job)}");
        screen.WriteLine($"identity   {job.Identity}");
        screen.WriteLine($"spec       {job.Spec}");
        if (job.Step is not null) screen.WriteLine($"step       {JobsCommand.Step(job)}{(job.Loss is { } loss ? $", loss {loss:0.000}" : "")}");
        if (job.Counts is { } counts) screen.WriteLine($"records    {counts.In} in = {counts.Out} out + {counts.Filtered} filtered + {counts.Dead} dead");
        foreach (var worker in job.Workers) screen.WriteLine($"worker     {worker.Name} on {worker.Node}, pid {worker.Pid}, {worker.State}");
        foreach (var wrong in job.Quarantined) screen.WriteLine($"quarantine {wrong.Worker} at step {wrong.Step}: {wrong.Message}");
        foreach (var checkpoint in job.Checkpoints) screen.WriteLine($"checkpoint {checkpoint.Digest} of step {checkpoint.Step}");
        foreach (var (port, digest) in job.Outputs) screen.WriteLine($"output     {digest} {port}");
        if (job.Children.Count > 0) screen.WriteLine($"wants      {string.Join(' ', job.Children)}");
        if (job.Log is { } log) screen.WriteLine($"log        {log}");
        if (job.Error is not null) screen.WriteLine($"error      {job.Error}");
    }

    private static async Task ShowContentAsync(AisleClient client, string target, Screen screen, CancellationToken cancellationToken)
    {
        var name = Digest.TryParse(target, out var digest) ? null : await client.NameAsync(target, cancellationToken);
        var artifact = await client.Artifacts.OpenAsync(name?.Digest ?? digest, cancellationToken);
        var most = screen.Json ? MostFilesInJson : MostFilesPrinted;
        var files = new List<EntryView>();
        await foreach (var entry in artifact.ListAsync(cancellationToken))
        {
            if (files.Count == most) break;
            files.Add(new EntryView(entry.Path, entry.SizeBytes));
        }
        if (screen.Json)
        {
            screen.WriteJson(new ShowNameView(name?.Name, artifact.Digest, name?.Version, name?.At, name?.By, name?.Aliases,
                artifact.Bytes, artifact.Entries, artifact.Metadata, files), CommandJson.Default.ShowNameView);
            return;
        }
        if (name is not null)
        {
            screen.WriteLine($"{name.Name}  version {name.Version}, moved {name.At:yyyy-MM-dd HH:mm:ss}Z by {name.By ?? "a person"}");
            foreach (var (alias, to) in name.Aliases) screen.WriteLine($"alias      @{alias} -> {to.Short}");
        }
        screen.WriteLine($"digest     {artifact.Digest}");
        screen.WriteLine($"content    {Amount.Bytes(artifact.Bytes)} in {artifact.Entries} {(artifact.Entries == 1 ? "file" : "files")}");
        foreach (var (key, value) in artifact.Metadata) screen.WriteLine($"metadata   {key} = {value}");
        foreach (var file in files) screen.WriteLine($"file       {file.Path}  {Amount.Bytes(file.Bytes)}");
        if (artifact.Entries > files.Count) screen.WriteLine($"           … and {artifact.Entries - files.Count} more; `aisle show {target} --json` lists them");
    }
}
