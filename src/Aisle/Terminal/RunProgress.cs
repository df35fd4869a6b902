using Aisle.Api;

namespace Aisle.Terminal;

/// <summary>A job and its children as their events tell it. Feed it each event once; it reads no clock.</summary>
public sealed class RunProgress
{
    private readonly List<JobProgress> _children = [];
    private readonly Dictionary<string, JobProgress> _byJob = [];

    /// <param name="title">The job's own, until an event tells it.</param>
    public RunProgress(string job, string? title = null) => _byJob[job] = Root = new JobProgress(job, title);

    /// <summary>The job that was asked for.</summary>
    public JobProgress Root { get; }

    /// <summary>In the order they were first heard of.</summary>
    public IReadOnlyList<JobProgress> Children => _children;

    /// <summary>The child (or the job itself) that trains, once it has made a step.</summary>
    public JobProgress? Training => _byJob.Values.FirstOrDefault(job => job.IsTraining);

    /// <param name="now">Used where the event carries no time.</param>
    /// <returns>The job that the event is about, after it.</returns>
    public JobProgress Apply(JobEvent e, DateTimeOffset now)
    {
        if (!_byJob.TryGetValue(e.Job, out var job))
        {
            _byJob[e.Job] = job = new JobProgress(e.Job);
            _children.Add(job);
        }
        job.Apply(e, e.At ?? now);
        // A pipeline runs while one of the jobs that it wants does.
        if (job != Root && job.State == "running") Root.Start(e.At ?? now);
        return job;
    }

    /// <summary>A child's title without the pipeline's: <c>language-model/tokens</c> → <c>tokens</c>.</summary>
    public string ShortTitle(JobProgress job) =>
        job != Root && job.Title.StartsWith(Root.Title + "/", StringComparison.Ordinal) ? job.Title[(Root.Title.Length + 1)..] : job.Title;
}
