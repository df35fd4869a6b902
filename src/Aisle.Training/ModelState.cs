using Aisle.Training.Numerics;
using Aisle.Training.Protocol;

namespace Aisle.Training;

/// <summary>What updates change: a model's weights with the optimiser's arenas and powers. Not thread-safe.</summary>
internal sealed class ModelState
{
    private readonly ITrainable _model;
    private readonly TrainingRecipe _recipe;
    private readonly IOptimizer _optimizer;
    private readonly float[] _slots; // the optimiser's arenas, one after the other

    public ModelState(ITrainable model, TrainingRecipe recipe)
    {
        ParameterRuns.Check(model.Runs, model.ParameterCount);
        (_model, _recipe, _optimizer) = (model, recipe, recipe.Optimizer.Create());
        Elements = checked((1 + _optimizer.Slots.Count) * model.ParameterCount);
        _slots = GC.AllocateArray<float>(Elements - model.ParameterCount, pinned: true);
    }

    /// <summary>Numbers in a copy: the weights, then slot after slot.</summary>
    public int Elements { get; }

    /// <summary>The optimiser's arenas, one after the other.</summary>
    public Span<float> Slots => _slots;

    public OptimizerPowers Powers { get; private set; } = OptimizerPowers.Initial;

    public void StartFromSeed()
    {
        _model.Initialize(_recipe.Seed);
        Array.Clear(_slots);
        Powers = OptimizerPowers.Initial;
    }

    /// <param name="norm">Of the gradient: see <see cref="GradientNorm"/>.</param>
    public void Update(ReadOnlySpan<float> gradient, double norm, double learningRate)
    {
        Powers = _optimizer.Next(Powers);
        var whole = new ParameterRange(0, _model.Weights, gradient, _slots, _model.ParameterCount);
        _optimizer.Update(whole, _model.Runs, new UpdateStep(learningRate, GradientNorm.ClipFactor(norm, _recipe.ClipNorm), Powers));
    }

    public StateHash Hash() => StateHash.Of(_model.Weights, _slots, Powers);

    public void CopyTo(Span<float> values)
    {
        _model.Weights.CopyTo(values);
        _slots.CopyTo(values[_model.ParameterCount..]);
    }

    public void Adopt(ReadOnlySpan<float> values, OptimizerPowers powers)
    {
        values[.._model.ParameterCount].CopyTo(_model.Weights);
        values[_model.ParameterCount..Elements].CopyTo(_slots);
        Powers = powers;
    }
}
