using Aisle.Tensors;
using Aisle.Training.Numerics;
using Aisle.Training.Wire;

namespace Aisle.Training.Collectives;

/// <summary>Computes slices and adds their gradients up, each rounded once, range by range as the model is done with it.</summary>
internal sealed unsafe class SliceSum
{
    private readonly ITrainable _model;
    private readonly TrainingRecipe _recipe;
    private readonly SliceGradient _gradient;
    private readonly GradientReady _round;
    private long* _sums;
    private bool _isFirst;
    private bool _fits;

    public SliceSum(ITrainable model, TrainingRecipe recipe)
    {
        (_model, _recipe, _gradient) = (model, recipe, new SliceGradient(model, recipe));
        _round = Round;
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
                (_isFirst, _fits) = (slice == firstSlice, true);
                var rounded = FixedPoint.Round(_gradient.Compute(step, slice, _round).Sum, WorkerSession.LossFractionBits);
                note = note.Plus(new ShardNote(rounded ?? 0, !_fits || rounded is null));
            }
            _sums = null;
        }
        return note;
    }

    private void Round(int offset, int length) =>
        _fits &= FixedPoint.Accumulate(_model.Gradients.Slice(offset, length), new Span<long>(_sums + offset, length), _recipe.SumFractionBits, _isFirst);
}
