using Aisle.Artifacts;

namespace Aisle.Training.Protocol;

/// <summary>What all workers of a run must have in common before any of them computes.</summary>
/// <param name="Recipe">Digest of everything that decides bits beside the data.</param>
/// <param name="Slices">Of one step.</param>
/// <param name="Shards">Pieces that the model's parameters are cut into.</param>
/// <param name="Steps">Of the whole run.</param>
/// <param name="CheckpointEvery">States that are multiples of this are stored. 0: none.</param>
public sealed record RunShape(Digest Recipe, int Slices, int Shards, long Steps, long CheckpointEvery)
{
    private const int MaxShards = 1 << 15; // of 65 536 parameters, of which an array holds no more than 2^31

    /// <exception cref="AisleException">AISLE-5131: no run can have it.</exception>
    public void ThrowIfImpossible()
    {
        if (Slices is < 1 or > SliceSet.MaxSlices || Shards is < 1 or > MaxShards || Steps < 1 || CheckpointEvery < 0)
        {
            throw new AisleException("AISLE-5131", $"No run has {Slices} slices, {Shards} shards, {Steps} steps and a checkpoint every {CheckpointEvery}.", "Start the coordinator and all workers from one version.");
        }
    }

    /// <summary>Why a worker with another shape cannot take part; null when it can. Names what differs, not only that something does.</summary>
    /// <param name="whose">Who has this shape, for the sentence.</param>
    public AisleException? Objection(string worker, RunShape theirs, string whose)
    {
        (string Name, long Mine, long Theirs)[] numbers =
            [("slices", Slices, theirs.Slices), ("steps", Steps, theirs.Steps), ("checkpointEvery", CheckpointEvery, theirs.CheckpointEvery)];
        string[] differing = [.. numbers.Where(number => number.Mine != number.Theirs).Select(number => $"{number.Name} {number.Theirs} against {number.Mine}")];
        if (differing.Length > 0 || Recipe != theirs.Recipe)
        {
            var what = differing.Length > 0 ? string.Join(", ", differing) : $"recipe {theirs.Recipe.Short} against {Recipe.Short}, at equal slices and steps";
            return new AisleException("AISLE-5122", $"Worker {worker} was started for another run than {whose}: {what}.", "Start the worker with the job's own parameters, seed and inputs; none of them may change within a job.");
        }
        return Shards == theirs.Shards
            ? null
            : new AisleException("AISLE-5132", $"Worker {worker} cuts its model into {theirs.Shards} shards, {whose} into {Shards}.", "Start the coordinator and all workers from one version and model.");
    }
}
