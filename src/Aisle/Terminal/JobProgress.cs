using Aisle.Api;

namespace Aisle.Terminal;

/// <summary>What one job's events have said so far.</summary>
public sealed class JobProgress(string job, string? title = null)
{
    private readonly Pace _pace = new();

    public string Job { get; } = job;

    public string Title { get; private set; } = title ?? job;

    /// <summary><c>waiting</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</summary>
    public string State { get; private set; } = "waiting";

    public bool FromCache { get; private set; }

    public double? Done { get; private set; }

    public double? Total { get; private set; }

    public string? Unit { get; private set; }

    public long? Step { get; private set; }

    public long? Steps { get; private set; }

    public double? Loss { get; private set; }

    public double? TokensPerSecond { get; private set; }

    public int? Workers { get; private set; }

    public CountsView? Counts { get; private set; }

    public string? Error { get; private set; }

    public IReadOnlyDictionary<string, Artifacts.Digest> Outputs { get; private set; } = new Dictionary<string, Artifacts.Digest>();

    public DateTimeOffset? StartedAt { get; private set; }

    public DateTimeOffset? FinishedAt { get; private set; }

    public bool IsTraining => Step is not null;

    public bool IsFinished => State is "succeeded" or "failed" or "cancelled";

    /// <summary>0 to 1; null where the whole is not known.</summary>
    public double? Share => IsTraining
        ? Steps is > 0 ? (double)Step!.Value / Steps.Value : null
        : Total is > 0 && Done is { } done ? Math.Clamp(done / Total.Value, 0, 1) : null;

    /// <summary>Steps or units a second, lately.</summary>
    public double? PerSecond => _pace.PerSecond;

    public TimeSpan? TimeLeft => IsTraining
        ? Steps is { } steps ? _pace.TimeFor(steps - Step!.Value) : null
        : Total is { } total && Done is { } done ? _pace.TimeFor(total - done) : null;

    public TimeSpan? Took(DateTimeOffset now) => StartedAt is { } start ? (FinishedAt ?? now) - start : null;

    internal void Apply(JobEvent e, DateTimeOffset at)
    {
        Title = e.Title ?? Title;
        switch (e.Event)
        {
            case "state":
                // A process that has its place is about to run; its other states, such as ready, are not the job's.
                ToState(e.State == "placed" ? "running" : e.State ?? State, at);
                break;
            case "progress":
                ToState("running", at);
                (Done, Total, Unit) = (e.Done ?? Done, e.Total ?? Total, e.Unit ?? Unit);
                if (e.Done is { } done && !IsTraining) _pace.Add(at, done);
                break;
            case "step":
                ToState("running", at);
                (Step, Steps) = (e.Step ?? Step, e.Steps ?? Steps);
                (Loss, TokensPerSecond) = (e.Loss ?? Loss, e.TokensPerSecond ?? TokensPerSecond);
                if (Step is { } step) _pace.Add(at, step);
                break;
            case "finished":
                ToState(e.State ?? "succeeded", at);
                FinishedAt = at;
                // What the data centre measured, from the first process to the end.
                if (e.Seconds is { } seconds) StartedAt = at - TimeSpan.FromSeconds(seconds);
                break;
        }
        Workers = e.Workers ?? Workers;
        Counts = e.Counts ?? Counts;
        Error = e.Error ?? Error;
        Outputs = e.Outputs ?? Outputs;
        FromCache |= e.FromCache ?? false;
    }

    internal void Start(DateTimeOffset at) => ToState("running", at);

    private void ToState(string state, DateTimeOffset at)
    {
        if (state is "running") StartedAt ??= at;
        if (!IsFinished && state is ("waiting" or "running" or "succeeded" or "failed" or "cancelled")) State = state;
    }
}
