namespace Aisle.Ledger.Consensus;

/// <summary>What a majority has reached. The one rule behind commits, read rounds, leases and the leader's doubt about itself.</summary>
internal static class Quorum
{
    /// <summary>Members that make a majority of <paramref name="voters"/>.</summary>
    public static int Of(int voters) => voters / 2 + 1;

    /// <summary>The largest value that a majority has reached: the n/2+1-th from the top. One value a voter, 0 for one that is not known. Sorts in place.</summary>
    /// <returns>0 without voters.</returns>
    public static long Reached(Span<long> values)
    {
        // Rule 7: every voter counts, those that never answered too, and nothing is remembered from one time to the next.
        if (values.IsEmpty) return 0;
        values.Sort();
        return values[^Of(values.Length)];
    }
}

/// <summary>See <see cref="Quorum.Reached"/>.</summary>
internal delegate long ReachedByMajority(Span<long> values);
