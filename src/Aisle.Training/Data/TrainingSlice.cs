using System.Collections.Immutable;

namespace Aisle.Training.Data;

/// <summary>What one slice is computed from, and nothing else may be: use no clock, no other chance, no count of workers.</summary>
/// <param name="Samples">Numbers of the samples, 0 to the data's count − 1; each is seen once before any is seen again.</param>
/// <param name="Chance">The slice's own: for negatives, augmentation, masks.</param>
public sealed record TrainingSlice(long Step, int Index, ImmutableArray<long> Samples, Chance Chance);

/// <summary>Which samples a slice holds: the next ones of an order that is permuted anew in each epoch.</summary>
public sealed class SliceOrder(TrainingRecipe recipe, long samples)
{
    private const ulong ChanceStream = 0x534C_4943_45; // apart from the streams of weights
    private readonly SamplePermutation _order = new(recipe.Seed, samples);

    public TrainingSlice At(long step, int slice)
    {
        var count = recipe.SamplesPerSlice;
        var first = (step * recipe.Slices + slice) * count;
        var numbers = ImmutableArray.CreateBuilder<long>(count);
        for (var i = 0; i < count; i++) numbers.Add(_order.SampleAt(first + i));
        return new TrainingSlice(step, slice, numbers.MoveToImmutable(), new Chance(ChanceStream, recipe.Seed, (ulong)step, (ulong)slice));
    }
}
