using Aisle.Tensors;

namespace Aisle.Training.Data;

/// <summary>
/// What looks like chance, as a pure function of a key: the same numbers on every machine, because only integers and exact steps are used.
/// A slice's own stream is keyed by (seed, step, slice), so a slice gives the same whoever computes it. Not thread-safe.
/// </summary>
public sealed class Chance
{
    private ulong _state;

    /// <param name="key">Equal keys give equal streams; one part more or another order gives another.</param>
    public Chance(params ReadOnlySpan<ulong> key)
    {
        foreach (var part in key) _state = SplitMix64.Mix(_state + SplitMix64.Mix(part));
    }

    /// <summary>The next 64 bits.</summary>
    public ulong Next()
    {
        var bits = SplitMix64.Mix(_state);
        _state += SplitMix64.Increment;
        return bits;
    }

    /// <summary>A whole number from 0 to <paramref name="limit"/> − 1.</summary>
    public int Below(int limit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        return (int)Math.BigMul(Next(), (ulong)limit, out _);
    }

    /// <summary>From 0 up to, but not, 1; a multiple of 2^-53.</summary>
    public double Unit() => (Next() >> 11) * (1.0 / (1UL << 53));

    /// <summary>About normal, with mean 0 and deviation 1, within ±6: the sum of twelve uniforms, which no C library has a hand in.</summary>
    public double Normal() => SplitMix64.Normal(Next(), Next(), Next());
}
