namespace Aisle.Ledger.Tests.Simulation;

/// <summary>Chance from a seed: splitmix64, which costs nothing to begin.</summary>
internal sealed class Chance(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        var x = _state += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }

    /// <summary>0 to below <paramref name="below"/>.</summary>
    public int Next(int below) => (int)(Next() % (ulong)below);

    /// <summary>Both ends included.</summary>
    public int Between(int least, int most) => least + Next(most - least + 1);

    public bool Percent(double percent) => Next() % 10_000 < percent * 100;

    public T OneOf<T>(IReadOnlyList<T> items) => items[Next(items.Count)];
}
