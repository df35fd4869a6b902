using Aisle.Api;

namespace Aisle.Terminal;

/// <summary>A run told in lines: what changed, and progress now and then. For files, other programs, and above the live tree.</summary>
public sealed class RunLines(RunProgress run)
{
    private static readonly TimeSpan s_between = TimeSpan.FromSeconds(5);
    private readonly Dictionary<string, DateTimeOffset> _lastProgress = [];

    /// <summary>The line for an event that <see cref="RunProgress.Apply"/> has just seen; null where it is not worth one.</summary>
    public string? Line(JobEvent e, JobProgress job, DateTimeOffset now) => e.Event switch
    {
        "state" when e.Worker is not null => $"{run.ShortTitle(job)}: {e.State}, {Who(e)}",
        "state" when e.State is not ("succeeded" or "failed" or "cancelled") => $"{run.ShortTitle(job)}: {e.State}{(e.Message is null ? "" : $", {e.Message}")}",
        "progress" or "step" => IsDue(job, e.At ?? now) ? $"{run.ShortTitle(job)}: {Measures(job)}" : null,
        _ => Notable(e, job),
    };

    /// <summary>Only what a person should not miss: workers lost and joined, ends, errors, log lines.</summary>
    public string? Notable(JobEvent e, JobProgress job) => e.Event switch
    {
        "log" => $"{run.ShortTitle(job)} | {e.Message}",
        "workerLost" => $"{run.ShortTitle(job)}: lost worker {Who(e)}{AtStep(e)}",
        "workerJoined" => $"{run.ShortTitle(job)}: worker {Who(e)} joined{AtStep(e)}",
        "workerQuarantined" => $"{run.ShortTitle(job)}: worker {Who(e)} is quarantined{AtStep(e)}: {e.Message}",
        "recovered" => $"{run.ShortTitle(job)}: recovered{(e.Seconds is { } seconds ? $" in {Amount.Time(TimeSpan.FromSeconds(seconds))}" : "")}{AtStep(e)}"
            + (e.SlicesRecomputed is { } slices ? $", {slices} {(slices == 1 ? "slice" : "slices")} computed again by the others" : ""),
        "checkpoint" => $"{run.ShortTitle(job)}: checkpoint of step {e.Step} is stored{(e.Digest is { } digest ? $" ({digest.Short})" : "")}",
        "finished" => $"{run.ShortTitle(job)}: {Ending(job, e.At)}",
        _ => null,
    };

    /// <summary>How a job ended, in a few words.</summary>
    public static string Ending(JobProgress job, DateTimeOffset? at)
    {
        if (job.FromCache && job.State == "succeeded") return "known result, no work";
        var took = job.Took(at ?? default) is { } time ? $" in {Amount.Time(time)}" : "";
        return $"{job.State}{took}{Counts(job.Counts)}{(job.Error is null ? "" : $": {job.Error}")}";
    }

    /// <summary>How far a job is: records or bytes with rate and time left; step, loss, tokens a second and workers for training.</summary>
    public static string Measures(JobProgress job)
    {
        var parts = new List<string>();
        if (job.IsTraining)
        {
            parts.Add($"step {job.Step}{(job.Steps is { } steps ? $"/{steps}" : "")}");
            if (job.Loss is { } loss) parts.Add($"loss {loss:0.000}");
            if (job.TokensPerSecond is { } tokens) parts.Add($"{Amount.Count(Math.Round(tokens))} tokens/s");
            if (job.Workers is { } workers) parts.Add(workers == 1 ? "1 worker" : $"{workers} workers");
        }
        else if (job.Done is { } done)
        {
            parts.Add(job.Total is { } total ? $"{Amount.Of(done, job.Unit == "bytes" ? "bytes" : null)} of {Amount.Of(total, job.Unit)}" : Amount.Of(done, job.Unit));
            if (job.PerSecond is { } rate) parts.Add($"{Amount.Of(rate, job.Unit)}/s");
        }
        if (job.TimeLeft is { } left && !job.IsFinished && job.Share is not >= 1) parts.Add($"{Amount.Time(left)} left");
        return string.Join("  ", parts);
    }

    private static string Counts(CountsView? counts) =>
        counts is null ? "" : $", {counts.In} in = {counts.Out} out + {counts.Filtered} filtered + {counts.Dead} dead";

    private static string Who(JobEvent e) =>
        $"{e.Worker ?? "?"}{(e.Node is null ? "" : $" on {e.Node}")}{(e.Pid is > 0 ? $" (pid {e.Pid})" : "")}";

    private static string AtStep(JobEvent e) => e.Step is { } step ? $" at step {step}" : "";

    private bool IsDue(JobProgress job, DateTimeOffset at)
    {
        var due = !_lastProgress.TryGetValue(job.Job, out var last) || at - last >= s_between || job.Share >= 1;
        if (due) _lastProgress[job.Job] = at;
        return due;
    }
}
