using Aisle.Api;

namespace Aisle.Quickstart;

/// <summary>What the events of a training run prove about its steps: that each came once, in order, whatever happened to the workers. Feed it every event.</summary>
internal sealed class StepRecord
{
    private readonly SortedSet<long> _steps = [];
    private readonly List<double> _tokensPerSecond = [];
    private DateTimeOffset? _killedAt;
    private long _newest;

    /// <summary>The job that trains; null before its first step.</summary>
    public string? Job { get; private set; }

    /// <summary>Steps that the run has in all, as it says itself.</summary>
    public long Steps { get; private set; }

    /// <summary>Newest step.</summary>
    public long Newest => _newest;

    /// <summary>Steps that came after a later one, or twice.</summary>
    public long OutOfOrder { get; private set; }

    /// <summary>Steps of <c>1..Steps</c> that never came.</summary>
    public long Lost => Steps - _steps.Count(step => step >= 1 && step <= Steps);

    /// <summary>Median over the steps; null before the first.</summary>
    public double? TokensPerSecond => _tokensPerSecond.Count == 0 ? null : _tokensPerSecond.Order().ElementAt(_tokensPerSecond.Count / 2);

    public double? FirstLoss { get; private set; }

    public double? LastLoss { get; private set; }

    public string? LostWorker { get; private set; }

    /// <summary>As the run measured it, from noticing the loss to the step's end.</summary>
    public double? RecoverySeconds { get; private set; }

    public long? SlicesRecomputed { get; private set; }

    /// <summary>From the kill to the next finished step.</summary>
    public double? NextStepSeconds { get; private set; }

    /// <summary>The worker that came in the lost one's place.</summary>
    public string? Replacement { get; private set; }

    public long? ReplacementStep { get; private set; }

    /// <summary>A worker has just been killed: what is recorded from here on is about its loss.</summary>
    public void Killed(string worker, DateTimeOffset at) => (LostWorker, _killedAt) = (worker, at);

    public void Apply(JobEvent e)
    {
        switch (e.Event)
        {
            case "step" when e.Step is { } step:
                Job ??= e.Job;
                Steps = e.Steps ?? Steps;
                if (!_steps.Add(step) || step < _newest) OutOfOrder++;
                _newest = Math.Max(_newest, step);
                FirstLoss ??= e.Loss;
                LastLoss = e.Loss ?? LastLoss;
                if (e.TokensPerSecond is { } tokens) _tokensPerSecond.Add(tokens);
                if (_killedAt is { } killed && e.At > killed) NextStepSeconds ??= (e.At.Value - killed).TotalSeconds;
                break;
            case "recovered" when _killedAt is not null:
                RecoverySeconds ??= e.Seconds;
                SlicesRecomputed ??= e.SlicesRecomputed;
                break;
            case "workerJoined" when _killedAt is not null && e.Worker != LostWorker:
                Replacement ??= e.Worker;
                ReplacementStep ??= e.Step;
                break;
        }
    }
}
