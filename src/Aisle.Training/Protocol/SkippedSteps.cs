namespace Aisle.Training.Protocol;

/// <summary>A step whose gradient is no number is skipped by everyone: nothing changes but the step's number, and with it the learning rate. A run that does nothing else ends.</summary>
internal static class SkippedSteps
{
    public const int MostInARow = 20;

    public static AisleException TooMany(int inARow, long lastStep) => new(
        "AISLE-5161", $"{inARow} steps in a row were skipped, the last of them step {lastStep}: in each, some slice's gradient or loss was NaN, infinite or too large.",
        "Resume from a checkpoint before them with a smaller learning rate or clipNorm, or look at the data of these steps.");
}
