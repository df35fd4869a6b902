using Aisle.Tensors;

namespace Aisle.Training.Data;

/// <summary>
/// The order in which a run sees its samples: a bijection of 0…count−1 for each (seed, epoch), computed for one position at a time, so
/// there is no shuffle buffer to fill, to save or to agree on.
/// </summary>
/// <remarks>
/// An eight-round Feistel network over the smallest even number of bits that holds the count; a value past the end is sent through
/// again until it falls inside (cycle walking: Black and Rogaway 2002, section 3).
/// </remarks>
public sealed class SamplePermutation(ulong seed, long count)
{
    private const int Rounds = 8;
    private readonly int _halfBits = HalfBits(count);

    public long Count { get; } = count;

    /// <summary>The sample at <paramref name="position"/> of a run that goes through the samples again and again, in a new order each time.</summary>
    public long SampleAt(long position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        return SampleAt(epoch: position / Count, position % Count);
    }

    /// <param name="position">0 to count − 1.</param>
    public long SampleAt(long epoch, long position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, Count);
        var key = SplitMix64.Mix(seed ^ SplitMix64.Mix((ulong)epoch));
        var value = (ulong)position;
        do
        {
            value = Encrypt(value, key);
        }
        while (value >= (ulong)Count);
        return (long)value;
    }

    private ulong Encrypt(ulong value, ulong key)
    {
        var mask = (1UL << _halfBits) - 1;
        var (left, right) = (value >> _halfBits, value & mask);
        for (var round = 0; round < Rounds; round++)
        {
            (left, right) = (right, left ^ (SplitMix64.Mix(right + SplitMix64.Mix(key + (ulong)round)) & mask));
        }
        return left << _halfBits | right;
    }

    private static int HalfBits(long count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, 1L << 62);
        var bits = 64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)(count - 1));
        return Math.Max(1, (bits + 1) / 2);
    }
}
