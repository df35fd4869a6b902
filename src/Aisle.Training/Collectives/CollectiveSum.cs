using Aisle.Training.Numerics;
using Aisle.Training.Wire;

namespace Aisle.Training.Collectives;

/// <summary>
/// A gradient's sum through a library's integer reduce-scatter and all-gather: each rank gets the full sum of one block, makes it the mean, and hands that on.
/// Exact whatever algorithm the library picks, because only integers are added.
/// </summary>
internal sealed unsafe class CollectiveSum : IGradientSum
{
    private const int BlockMultiple = 8; // numbers: a cache line of floats fewer would share lines between ranks, and an odd number fills no word
    private const int MostGathered = 16; // words of one rank
    private readonly ICollective _collective;
    private readonly GradientShape _shape;
    private readonly int _block; // numbers of one rank
    private readonly long* _sums;
    private readonly long* _own;
    private readonly long* _mean; // floats, two in a word
    private readonly long* _small;

    /// <summary>Takes over the collective.</summary>
    /// <exception cref="AisleException">AISLE-5193: the ranks' shapes differ. AISLE-5194: the library failed.</exception>
    public CollectiveSum(ICollective collective, GradientShape shape)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shape.Elements, 1, nameof(shape));
        (_collective, _shape) = (collective, shape);
        try
        {
            _small = collective.Allocate((nuint)(collective.Ranks * MostGathered));
            Compare(shape);
            _block = checked((int)(((long)shape.Elements + collective.Ranks - 1) / collective.Ranks + BlockMultiple - 1) / BlockMultiple * BlockMultiple);
            _sums = collective.Allocate((nuint)_block * (nuint)collective.Ranks);
            _own = collective.Allocate((nuint)_block);
            _mean = collective.Allocate((nuint)_block * (nuint)collective.Ranks / 2);
        }
        catch
        {
            collective.Dispose();
            throw;
        }
    }

    public int Rank => _collective.Rank;

    public int Ranks => _collective.Ranks;

    public Span<long> Sums => new(_sums, _shape.Elements);

    public ReadOnlySpan<float> Reduce(ShardNote mine, double divisor, out ShardNote all)
    {
        _collective.ReduceScatter(_sums, _own, _block);
        FixedPoint.Mean(new ReadOnlySpan<long>(_own, _block), new Span<float>((float*)_mean + (nuint)_block * (nuint)Rank, _block), _shape.FractionBits, divisor);
        _collective.AllGather(_mean, _block / 2);
        all = Total(mine);
        return new ReadOnlySpan<float>(_mean, _shape.Elements);
    }

    public void Gather(ReadOnlySpan<long> mine, Span<long> all)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(mine.Length, MostGathered, nameof(mine));
        ArgumentOutOfRangeException.ThrowIfNotEqual(all.Length, Ranks * mine.Length, nameof(all));
        mine.CopyTo(new Span<long>(_small + Rank * mine.Length, mine.Length));
        _collective.AllGather(_small, mine.Length);
        new ReadOnlySpan<long>(_small, all.Length).CopyTo(all);
    }

    public void Complete() => _collective.Complete();

    public void Dispose() => _collective.Dispose();

    private ShardNote Total(ShardNote mine)
    {
        (_small[2 * Rank], _small[2 * Rank + 1]) = (mine.Loss, mine.Invalid ? 1 : 0);
        _collective.AllGather(_small, 2);
        var total = default(ShardNote);
        for (var rank = 0; rank < Ranks; rank++) total = total.Plus(new ShardNote(_small[2 * rank], _small[2 * rank + 1] != 0));
        return total;
    }

    /// <summary>Before anything of a size that depends on the shape: ranks whose counts differ would write past each other's buffers.</summary>
    private void Compare(GradientShape shape)
    {
        var all = new long[2 * Ranks];
        Gather([shape.Elements, shape.FractionBits], all);
        for (var rank = 0; rank < Ranks; rank++)
        {
            var (elements, bits) = (all[2 * rank], all[2 * rank + 1]);
            if (elements == shape.Elements && bits == shape.FractionBits) continue;
            throw new AisleException(
                "AISLE-5193", $"Rank {rank} sums {elements} numbers with {bits} bits after the point, rank {Rank} {shape.Elements} with {shape.FractionBits}.",
                "Start all ranks with one program, one recipe and the same data.");
        }
    }
}
