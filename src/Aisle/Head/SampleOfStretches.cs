namespace Aisle.Head;

/// <summary>Which stretches of a run are made again.</summary>
internal static class SampleOfStretches
{
    /// <returns>
    /// Distinct indices below <paramref name="stretches"/>, ascending: the share rounded up. The last is always among them, for it leads to the model that was asked
    /// about, and so is at least one other; the others are equally likely. The same for the same seed.
    /// </returns>
    public static IReadOnlyList<int> Draw(int stretches, double share, int seed)
    {
        var others = Enumerable.Range(0, stretches - 1).ToArray();
        new Random(seed).Shuffle(others);
        var wanted = (int)Math.Ceiling(stretches * share - 1e-9) - 1;
        return [.. others.Take(Math.Max(wanted, 1)).Order(), stretches - 1];
    }
}
