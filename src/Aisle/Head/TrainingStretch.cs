using System.Collections.Immutable;
using System.Globalization;
using Aisle.Jobs;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>Training from a checkpoint, or up to a step, is a job like any other: the checkpoint is an input, the steps are parameters, the state it ends with an output.</summary>
internal static class TrainingStretch
{
    /// <summary>Port of the state that a stretch which stops early ends with.</summary>
    public const string StatePort = "state";
    /// <summary>Port of the state that it starts from.</summary>
    public const string Port = "resume";
    private const string StepParameter = "resumeStep", StopParameter = "stopStep";

    public static JobSpec From(JobSpec spec, Checkpoint checkpoint) => spec with
    {
        Inputs = spec.Inputs.SetItem(Port, checkpoint.Digest),
        Parameters = spec.Parameters.SetItem(StepParameter, checkpoint.Step.ToString(CultureInfo.InvariantCulture)),
    };

    /// <summary>Ends at the step, with its state in place of a model.</summary>
    public static JobSpec UpTo(JobSpec spec, long step) => spec with
    {
        Parameters = spec.Parameters.SetItem(StopParameter, step.ToString(CultureInfo.InvariantCulture)),
    };

    /// <summary>The checkpoint that a spec starts from, or null for the beginning.</summary>
    public static Checkpoint? Of(JobSpec spec) =>
        spec.Inputs.TryGetValue(Port, out var digest) ? new Checkpoint(long.Parse(spec.Parameters[StepParameter], CultureInfo.InvariantCulture), digest) : null;

    /// <summary>The step that a spec ends at early, or null for its end.</summary>
    public static long? StopOf(JobSpec spec) => spec.Parameters.TryGetValue(StopParameter, out var step) ? long.Parse(step, CultureInfo.InvariantCulture) : null;

    /// <summary>The recipe's own parameters; with the model that is fine-tuned, where there is one, by digest.</summary>
    public static ImmutableSortedDictionary<string, string> RecipeOf(JobSpec spec)
    {
        var parameters = spec.Parameters.Remove(StepParameter).Remove(StopParameter);
        return spec.Inputs.TryGetValue("model", out var frozen) ? parameters.SetItem("model.base", frozen.ToString()) : parameters;
    }
}
