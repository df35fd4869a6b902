namespace Aisle.Benchmarks.Training;

/// <summary>A training under way in processes: ours, or the peer's. Ends when disposed.</summary>
internal interface ITrainingRun : IAsyncDisposable
{
    /// <summary>The next finished step.</summary>
    /// <exception cref="BenchmarkFailedException">None comes.</exception>
    Task<StepReport> NextAsync();

    /// <summary>SIGKILL to one worker; does not return before it was sent.</summary>
    /// <param name="worker">0 up to the number of workers.</param>
    void Kill(int worker);

    /// <summary>Brings the number of workers back to what it was, where nobody else does.</summary>
    void Restore();
}

/// <param name="Losses">How many deaths of workers had been noticed before this step finished.</param>
/// <param name="At">When this process heard of it, as a timestamp of the stopwatch.</param>
internal readonly record struct StepReport(long Step, double LossPerToken, int Workers, int Losses, long At);
