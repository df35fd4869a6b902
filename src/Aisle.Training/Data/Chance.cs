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
        foreach (var part in key) _state = Mix(_state + Mix(part));
    }

    /// <summary>The next 64 bits.</summary>
    public ulong Next()
    {
        _state += 0x9E37_79B9_7F4A_7C15;
        var x = _state;
        x = (x ^ (x >> 30)) * 0xBF58_476D_1CE4_E5B9;
        x = (x ^ (x >> 27)) * 0x94D0_49BB_1331_11EB;
        return x ^ (x >> 31);
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
    public double Normal()
    {
        long sum = 0;
        for (var part = 0; part < 3; part++)
        {
            var bits = Next();
            sum += (ushort)bits + (ushort)(bits >> 16) + (ushort)(bits >> 32) + (long)(bits >> 48);
        }
        return (sum * 2 - 12 * 65535) / 131072.0; // exact: the sum has 20 bits and the divisor is a power of two
    }

    // SplitMix64's step (Steele, Lea and Flood 2014).
    private static ulong Mix(ulong x)
    {
        x += 0x9E37_79B9_7F4A_7C15;
        x = (x ^ (x >> 30)) * 0xBF58_476D_1CE4_E5B9;
        x = (x ^ (x >> 27)) * 0x94D0_49BB_1331_11EB;
        return x ^ (x >> 31);
    }
}
