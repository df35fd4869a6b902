using Aisle.Training.Tests.Processes;

namespace Aisle.Training.Tests.Collectives;

/// <summary>What two elastic workers make of the recipe that the worlds of this folder train: the bits to arrive at.</summary>
internal static class ElasticRun
{
    private static readonly Lazy<Task<TrainingOutcome>> s_outcome = new(() => TrainAsync());

    public static string[] Parameters { get; } = ["steps=40", "slices=15", "sequencesPerSlice=2", "contextTokens=16", "optimizer.learningRate=0.02", "checkpointEvery=10"];

    public static Task<TrainingOutcome> Outcome => s_outcome.Value;

    /// <summary>Everything whose bits must be equal, in a line.</summary>
    public static string Line(TrainingOutcome outcome) =>
        $"{outcome.Model} {outcome.WeightsHash:x16} {BitConverter.DoubleToInt64Bits(outcome.LossPerToken):x16} {string.Join(',', outcome.Checkpoints.Select(checkpoint => $"{checkpoint.Digest}@{checkpoint.Step}"))}";

    public static async Task<TrainingOutcome> TrainAsync(params string[] further)
    {
        await using var run = new ProcessRun(minimumWorkers: 2, parameters: [.. Parameters, .. further]);
        _ = run.StartWorker("w0");
        _ = run.StartWorker("w1");
        return await run.CompletionAsync();
    }
}
