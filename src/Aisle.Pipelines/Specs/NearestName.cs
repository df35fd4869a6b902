namespace Aisle.Pipelines;

/// <summary>The right spelling for a wrong one.</summary>
internal static class NearestName
{
    private const int LongestName = 64;

    /// <summary>Ends a message about an unknown name: the nearest known one, or all of them when none is near.</summary>
    public static string Hint(string written, IEnumerable<string> known)
    {
        var names = known.Order(StringComparer.Ordinal).ToList();
        if (names.Count == 0) return "";
        // One slip in three letters is still recognisable; more is another word.
        var near = names.Select(name => (Name: name, Slips: Slips(written, name))).Where(near => near.Slips <= Math.Max(1, Math.Max(near.Name.Length, written.Length) / 3))
            .OrderBy(near => near.Slips).FirstOrDefault().Name;
        if (near is not null) return $"; did you mean `{near}`?";
        return names.Count <= 20 ? $"; there {(names.Count == 1 ? "is" : "are")} {string.Join(", ", names.Select(name => $"`{name}`"))}" : "";
    }

    // Letters added, lost, changed, or swapped with their neighbour (optimal string alignment).
    private static int Slips(string a, string b)
    {
        if (a.Length > LongestName || b.Length > LongestName) return int.MaxValue;
        var cost = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++) cost[i, 0] = i;
        for (var j = 0; j <= b.Length; j++) cost[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                var same = char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]) ? 0 : 1;
                cost[i, j] = Math.Min(Math.Min(cost[i - 1, j] + 1, cost[i, j - 1] + 1), cost[i - 1, j - 1] + same);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) cost[i, j] = Math.Min(cost[i, j], cost[i - 2, j - 2] + 1);
            }
        }
        return cost[a.Length, b.Length];
    }
}
