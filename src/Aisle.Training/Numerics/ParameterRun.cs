namespace Aisle.Training.Numerics;

/// <summary>What a step does with parameters.</summary>
public enum ParameterKind
{
    /// <summary>They follow their gradient, and weight decay pulls them towards zero: matrices.</summary>
    Decayed,

    /// <summary>They follow their gradient: norms and biases.</summary>
    Undecayed,

    /// <summary>They keep their bits; what stands in their gradient's place, which must be finite, is not looked at.</summary>
    Frozen,

    /// <summary>
    /// They follow a statistic, such as BatchNorm's running mean. A slice leaves its statistic × its tokens in the gradient's place, so that the step's
    /// mean is the statistic's mean over the step's tokens; then value += momentum · (mean − value). No part of the gradient's norm, never clipped.
    /// </summary>
    RunningAverage,
}

/// <summary>A run of parameters of one kind.</summary>
/// <param name="Momentum">A running average's step towards the newest statistic, 0 to 1; other kinds ignore it.</param>
public readonly record struct ParameterRun(int Offset, int Length, ParameterKind Kind, float Momentum = 0.1f)
{
    public int End => Offset + Length;

    /// <summary>Whether an optimiser moves it.</summary>
    public bool Learns => Kind is ParameterKind.Decayed or ParameterKind.Undecayed;
}

/// <summary>Runs of a model as the rest of training may take them: in order, without gaps, to the last parameter.</summary>
public static class ParameterRuns
{
    /// <exception cref="AisleException">AISLE-5162: they leave something out, overlap, or a momentum is no part from 0 to 1.</exception>
    public static void Check(IReadOnlyList<ParameterRun> runs, int parameters)
    {
        var end = 0;
        foreach (var run in runs)
        {
            if (run.Offset != end || run.Length < 0 || run.Length > parameters - end)
            {
                throw new AisleException("AISLE-5162", $"The model's runs do not cover its {parameters} parameters in order: one begins at {run.Offset} with {run.Length}, after {end}.", "Give runs that follow each other.");
            }
            if (run.Kind == ParameterKind.RunningAverage && !(run.Momentum is >= 0 and <= 1))
                throw new AisleException("AISLE-5162", $"The running average at {run.Offset} has momentum {run.Momentum}.", "Give one from 0 to 1.");
            end = run.End;
        }
        if (end != parameters) throw new AisleException("AISLE-5162", $"The model's runs end at {end} of its {parameters} parameters.", "Give every parameter a kind.");
    }
}
