namespace Aisle.Training.Numerics;

/// <summary>Linear warm-up, then half a cosine down to a floor. Made of + − × ÷ alone: a C library's cosine differs between machines.</summary>
public sealed record LearningRate(double Peak, double Floor, long WarmupSteps, long Steps)
{
    /// <param name="step">Counted from 0.</param>
    public double At(long step)
    {
        if (step < WarmupSteps) return Peak * (step + 1) / WarmupSteps;
        if (step >= Steps) return Floor;
        var progress = (double)(step - WarmupSteps) / (Steps - WarmupSteps);
        return Floor + (Peak - Floor) * (0.5 * (1.0 + CosineOfHalfTurns(progress)));
    }

    /// <summary>cos(π·x) for x from 0 to 1, within 2e-16: the sine's power series about the middle, where it is short.</summary>
    internal static double CosineOfHalfTurns(double x)
    {
        var angle = Math.PI * (x - 0.5);
        var square = angle * angle;
        var sum = 1.0;
        for (var n = 20; n >= 2; n -= 2) sum = 1.0 - square * sum / (n * (n + 1));
        return -(angle * sum);
    }
}
