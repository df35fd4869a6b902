using System.CommandLine;
using Aisle.Api;
using Aisle.Monitoring;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class RunCommand
{
    public static Command Create()
    {
        var spec = new Argument<string>("SPEC.yaml") { Description = "The file that says what to run" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Show progress and log until it ends" };
        var workers = new Option<int?>("--workers") { Description = "Workers for training; the result does not depend on it", HelpName = "N" }.AtLeast(1);
        var sets = new Option<string[]>("--set") { Description = "Change a value of the spec: path.in.spec=value (repeatable)", HelpName = "PATH=VALUE", DefaultValueFactory = _ => [] };
        var recompute = new Option<bool>("--recompute") { Description = "Do all the work again, known results or not; a result that differs fails its job" };
        sets.Validators.Add(result =>
        {
            foreach (var token in result.Tokens)
                if (token.Value.IndexOf('=') <= 0) result.AddError($"--set {token.Value}: write path.in.spec=value.");
        });
        return new Command("run", "Run a pipeline or a job") { spec, follow, workers, sets, recompute }.Does(async (call, cancellationToken) =>
        {
            var text = await ReadSpecAsync(call.Get(spec), cancellationToken);
            using var client = call.Connect();
            var accepted = await client.RunAsync(new RunRequest(text, call.Get(sets) ?? [], call.Get(workers), call.Get(recompute)), cancellationToken);
            if (call.Get(follow)) return await FollowAsync(client, accepted.Job, call.Screen, TimeProvider.System, cancellationToken);
            if (call.Json) call.Screen.WriteJson(accepted, ApiJson.Default.JobAcceptedView);
            else
            {
                call.Screen.WriteLine(accepted.Job);
                call.Screen.Say($"Follow it with `aisle logs {accepted.Job} -f`.");
            }
            return ExitCode.Done;
        });
    }

    /// <summary>Shows a job to its end and prints its outputs. Ctrl-C stops the following, not the job.</summary>
    internal static async Task<int> FollowAsync(AisleClient client, string job, Screen screen, TimeProvider time, CancellationToken cancellationToken)
    {
        var run = new RunProgress(job, (await client.JobAsync(job, cancellationToken)).Title);
        var follower = new JobFollower(client, time) { HasAnswered = true, Dropped = e => screen.Say($"{e.What}; waiting for it to come back.") };
        try
        {
            if (screen.Json)
            {
                await foreach (var e in follower.FollowAsync(job, cancellationToken))
                {
                    run.Apply(e, time.GetUtcNow());
                    if (!run.Root.IsFinished || e.Event != "finished" || e.Job != job) screen.WriteJson(e, ApiJson.Default.JobEvent);
                }
                screen.WriteJson(new RunFinishedView("finished", job, run.Root.State, run.Root.Outputs, run.Root.Error), CommandJson.Default.RunFinishedView);
            }
            else
            {
                await new RunView(screen.Talk, run, time).ShowAsync(follower.FollowAsync(job, cancellationToken), seen: null, cancellationToken);
                foreach (var (port, digest) in run.Root.Outputs) screen.WriteLine($"{port}  {digest}");
                if (run.Training is not null) await TellStragglerAsync(client, job, screen, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            screen.Say($"Stopped following; {job} goes on. `aisle logs {job} -f` follows it again, `aisle cancel {job}` stops it.");
            throw;
        }
        return run.Root.State == "succeeded" ? ExitCode.Done : ExitCode.Failed;
    }

    /// <summary>One sentence where a worker held the others up; nothing where none did.</summary>
    private static async Task TellStragglerAsync(AisleClient client, string job, Screen screen, CancellationToken cancellationToken)
    {
        try
        {
            var report = StragglerReport.Of(TimeLineSnapshot.Parse(await client.TimeLineAsync(job, cancellationToken)));
            if (report.Straggler is not null) screen.Say($"{report.Advice} (`aisle stragglers {job}` tells more.)");
        }
        catch (AisleException)
        {
            // An older server, or a run of which nothing is kept: the run itself is what was asked about.
        }
    }

    private static async Task<string> ReadSpecAsync(string path, CancellationToken cancellationToken)
    {
        const int largestSpecBytes = 1 << 20;
        try
        {
            if (new FileInfo(path).Length > largestSpecBytes)
                throw new WrongUsageException($"'{path}' is larger than a spec may be (1 MiB).", "Give the YAML file that describes the run; data is put with `aisle put`.", "AISLE-7051");
            return await File.ReadAllTextAsync(path, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WrongUsageException($"The spec '{path}' cannot be read ({e.Message})", "Give the path of a YAML file, e.g. examples/language-model/train.yaml.", "AISLE-7051", e);
        }
    }
}
