using Aisle.Artifacts;
using Aisle.Training.Checkpoints;

namespace Aisle.Training.Collectives;

/// <summary>What a rank of a fixed world is given; all ranks get the same.</summary>
public sealed record FixedWorldOptions
{
    public required TrainingRecipe Recipe { get; init; }

    /// <summary>Builds the model and its data; called once. The run disposes what it returns.</summary>
    public required Func<TrainingRecipe, ITrainable> Model { get; init; }

    /// <summary>Joins the world, e.g. <c>shape => MpiSum.Open(shape)</c>. The run disposes what it returns.</summary>
    public required Func<GradientShape, IGradientSum> Sum { get; init; }

    /// <summary>Rank 0 writes here; every rank reads here when the run resumes.</summary>
    public required ICheckpointStore Store { get; init; }

    /// <summary>This rank's own, for files on their way to or from the store. Created when absent; what the rank puts there it removes.</summary>
    public required string ScratchFolder { get; init; }

    /// <summary>A checkpoint to start from instead of the seed.</summary>
    public (long Step, Digest Digest)? ResumeFrom { get; init; }

    /// <summary>Called for each step and each thing stored, on the computing thread: return soon. All ranks get the same events.</summary>
    public Action<TrainingEvent>? Event { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>
/// Training among a fixed set of ranks, without a coordinator: for machines where MPI or NCCL is how processes talk. The model is the elastic run's, digest for
/// digest, for any number of ranks. What it lacks beside that: a rank that dies ends the run (start it again from the newest checkpoint), nobody can join, and all ranks
/// wait for the slowest.
/// </summary>
public static class FixedWorld
{
    /// <summary>Runs this rank to the end of the recipe, on the calling thread.</summary>
    /// <returns>The same on all ranks.</returns>
    /// <exception cref="AisleException">
    /// AISLE-5195: the ranks were started for different runs. AISLE-5123: their bits differ. AISLE-5120: their weights parted. AISLE-5190 to 5194: what joins them failed.
    /// AISLE-5110 to 5114: the checkpoint to resume from is not usable.
    /// </exception>
    /// <exception cref="OperationCanceledException">Looked for between steps. The other ranks then wait for one that is gone: end the process with an exit code other than 0.</exception>
    public static TrainingOutcome Train(FixedWorldOptions options, CancellationToken cancellationToken)
    {
        using var model = options.Model(options.Recipe);
        using var sum = options.Sum(new GradientShape(model.ParameterCount, options.Recipe.SumFractionBits));
        var outcome = new FixedWorldRun(options, model, sum).Run(cancellationToken);
        sum.Complete();
        return outcome;
    }
}
