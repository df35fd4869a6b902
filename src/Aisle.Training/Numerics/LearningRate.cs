namespace Aisle.Training.Numerics;

/// <summary>How the learning rate goes from its peak to its end.</summary>
public enum ScheduleShape
{
    /// <summary>Half a cosine down to the floor.</summary>
    Cosine,

    /// <summary>A straight line down to the floor.</summary>
    Linear,

    /// <summary>It stays at the peak; there is no floor.</summary>
    Constant,
}

/// <summary>Linear warm-up to a peak, then down to a floor. Made of + − × ÷ alone: a C library's cosine differs between machines.</summary>
public sealed record LearningRate(double Peak, double Floor, long WarmupSteps, long Steps, ScheduleShape Shape = ScheduleShape.Cosine)
{
    /// <param name="step">Counted from 0.</param>
    public double At(long step)
    {
        if (step < WarmupSteps) return Peak * (step + 1) / WarmupSteps;
        if (Shape == ScheduleShape.Constant) return Peak;
        if (step >= Steps) return Floor;
        var progress = (double)(step - WarmupSteps) / (Steps - WarmupSteps);
        return Floor + (Peak - Floor) * (Shape == ScheduleShape.Linear ? 1.0 - progress : 0.5 * (1.0 + CosineOfHalfTurns(progress)));
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
