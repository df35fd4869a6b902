using Aisle.Tensors;
using Aisle.Training.Numerics;
using Aisle.Training.Wire;

namespace Aisle.Training.Collectives;

/// <summary>Computes slices and adds their gradients up, each rounded once, range by range as the model is done with it.</summary>
internal sealed unsafe class SliceSum
{
    private readonly ITrainable _model;
    private readonly TrainingRecipe _recipe;
    private readonly GradientReady _round;
    private readonly Int8Codec? _codec;
    private long* _sums;
    private (bool IsFirst, int Elements, bool Fits) _rounding;

    public SliceSum(ITrainable model, TrainingRecipe recipe)
    {
        (_model, _recipe) = (model, recipe);
        _round = Round;
        _codec = recipe.Codec == GradientCodec.Int8 ? new Int8Codec(recipe.Seed, recipe.SumFractionBits, model.Runs) : null;
    }

    /// <summary>Overwrites <paramref name="sums"/> by the slices' sum; by nothing but zeros when there are none.</summary>
    public ShardNote Compute(long step, int firstSlice, int endSlice, Span<long> sums)
    {
        if (firstSlice == endSlice) sums.Clear();
        var note = default(ShardNote);
        fixed (long* pinned = sums)
        {
            _sums = pinned;
            for (var slice = firstSlice; slice < endSlice; slice++)
            {
                _rounding = (slice == firstSlice, 0, true);
                var loss = _model.ComputeSlice(step, slice, _codec is null ? _round : null); // a block is rounded whole, so the codec waits for all of it
                _codec?.Round(_model.Gradients, step, slice);
                if (_rounding.Elements == 0) Round(0, _model.ParameterCount);
                if (_rounding.Elements != _model.ParameterCount)
                {
                    throw new AisleException(
                        "AISLE-5133", $"The model announced {_rounding.Elements} of its {_model.ParameterCount} gradients as ready.", "Announce every gradient once in ComputeSlice, or none.");
                }
                var rounded = FixedPoint.Round(loss.Sum, WorkerSession.LossFractionBits);
                note = note.Plus(new ShardNote(rounded ?? 0, !_rounding.Fits || rounded is null));
            }
            _sums = null;
        }
        return note;
    }

    private void Round(int offset, int length)
    {
        var (isFirst, elements, fits) = _rounding;
        fits &= FixedPoint.Accumulate(_model.Gradients.Slice(offset, length), new Span<long>(_sums + offset, length), _recipe.SumFractionBits, isFirst);
        _rounding = (isFirst, elements + length, fits);
    }
}
