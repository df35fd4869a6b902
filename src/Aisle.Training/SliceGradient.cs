using Aisle.Artifacts;
using Aisle.Tensors;
using Aisle.Training.Numerics;

namespace Aisle.Training;

/// <summary>A slice's gradient as it is summed: computed by the model, rounded by the recipe's codec, and given on range by range. Not thread-safe.</summary>
internal sealed class SliceGradient
{
    private readonly ITrainable _model;
    private readonly Int8Codec? _codec;
    private readonly GradientReady _announced;
    private GradientReady? _take;
    private int _elements; // announced so far

    public SliceGradient(ITrainable model, TrainingRecipe recipe)
    {
        _model = model;
        _codec = recipe.Codec == GradientCodec.Int8 ? new Int8Codec(recipe.Seed, recipe.SumFractionBits, model.Runs) : null;
        _announced = Announced;
    }

    /// <param name="take">Given each range of the model's gradients once, as soon as it is final: it is still in the cache then. Null: nobody sums them.</param>
    /// <exception cref="AisleException">AISLE-5133: the model announced some of its gradients and not others.</exception>
    public SliceLoss Compute(long step, int slice, GradientReady? take)
    {
        (_take, _elements) = (take, 0);
        // A block is rounded whole, so the codec waits for all of the gradient.
        var loss = _model.ComputeSlice(step, slice, take is null || _codec is not null ? null : _announced);
        _codec?.Round(_model.Gradients, step, slice);
        if (take is null) return loss;
        if (_elements == 0) Announced(0, _model.ParameterCount);
        if (_elements == _model.ParameterCount) return loss;
        throw new AisleException(
            "AISLE-5133", $"The model announced {_elements} of its {_model.ParameterCount} gradients as ready.", "Announce every gradient once in ComputeSlice, or none.");
    }

    private void Announced(int offset, int length)
    {
        _elements += length;
        _take!(offset, length);
    }
}
