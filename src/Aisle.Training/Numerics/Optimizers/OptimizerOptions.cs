namespace Aisle.Training.Numerics;

/// <summary>An optimiser's constants; part of the recipe. One record for each algorithm, so that none carries what it does not use.</summary>
public abstract record OptimizerOptions
{
    private protected OptimizerOptions()
    {
    }

    /// <summary>As a recipe writes it: <c>adamw</c>, <c>adam</c>, <c>sgd</c>, <c>lion</c>.</summary>
    public abstract string Kind { get; }

    public abstract IOptimizer Create();
}
