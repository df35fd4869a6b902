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

    /// <summary>How many arenas a state has: the weights and the optimiser's.</summary>
    public int Arenas => Elements / _model.ParameterCount;

    /// <summary>As <see cref="Update"/>, of a range that is at other powers than the rest.</summary>
    /// <param name="powers">Of the state that the range is at.</param>
    /// <returns>Of the state that it is at then.</returns>
    public OptimizerPowers UpdateRange(int offset, int length, ReadOnlySpan<float> gradient, double norm, double learningRate, OptimizerPowers powers)
    {
        powers = _optimizer.Next(powers);
        var range = new ParameterRange(offset, _model.Weights.Slice(offset, length), gradient.Slice(offset, length), _slots.AsSpan(Math.Min(offset, _slots.Length)), _model.ParameterCount);
        _optimizer.Update(range, _model.Runs, new UpdateStep(learningRate, GradientNorm.ClipFactor(norm, _recipe.ClipNorm), powers));
        return powers;
    }

    /// <summary>Copies a range of the weights, then of each slot.</summary>
    public void CopyRange(int offset, int length, Span<float> values)
    {
        _model.Weights.Slice(offset, length).CopyTo(values);
        for (var i = 0; i < Arenas - 1; i++) _slots.AsSpan(i * _model.ParameterCount + offset, length).CopyTo(values[((i + 1) * length)..]);
    }

    public void AdoptRange(int offset, int length, ReadOnlySpan<float> values)
    {
        values[..length].CopyTo(_model.Weights[offset..]);
        for (var i = 0; i < Arenas - 1; i++) values.Slice((i + 1) * length, length).CopyTo(_slots.AsSpan(i * _model.ParameterCount + offset));
    }

    /// <summary>All ranges are at these.</summary>
    public void Become(OptimizerPowers powers) => Powers = powers;

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
