namespace Aisle.Monitoring;

/// <summary>What one step of a run came to.</summary>
/// <param name="Step">Updates made to the weights so far: 1 after the first.</param>
/// <param name="At">When the first worker had made it.</param>
/// <param name="WeightsHash">XXH3-64 of the weights after it.</param>
/// <param name="Loss">Mean over the step, in nats a token.</param>
/// <param name="GradientNorm">Of the mean gradient before clipping; NaN for a skipped step.</param>
/// <param name="TokensPerSecond">Since the step before.</param>
/// <param name="Skipped">A gradient did not fit: the weights stayed as they were.</param>
public readonly record struct StepFigures(
    long Step, DateTimeOffset At, ulong WeightsHash, double Loss, double LearningRate, double GradientNorm, double TokensPerSecond, int Workers, bool Skipped);
