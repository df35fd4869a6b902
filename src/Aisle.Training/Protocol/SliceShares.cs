namespace Aisle.Training.Protocol;

/// <summary>How many slices each member gets, so that all end as nearly together as whole slices allow.</summary>
public static class SliceShares
{
    /// <summary>
    /// Cuts a step's slices: the sum is <paramref name="slices"/>, everyone gets at least one where there are enough, and no other cut of that kind has an
    /// earlier last end. A pure function; ties go to the member named first.
    /// </summary>
    /// <param name="secondsPerSlice">Of each member; what is not a positive number counts as the mean of the others.</param>
    public static int[] Cut(int slices, IReadOnlyList<double> secondsPerSlice)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(secondsPerSlice.Count, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(slices);
        var known = secondsPerSlice.Where(IsKnown).ToArray();
        var otherwise = known.Length > 0 ? known.Average() : 1;
        double[] seconds = [.. secondsPerSlice.Select(value => IsKnown(value) ? value : otherwise)];
        var shares = new int[seconds.Length];
        for (var given = 0; given < slices; given++)
        {
            // One each first; then each slice to whoever would be done with it first: no exchange of slices could end earlier.
            var best = -1;
            for (var i = 0; i < shares.Length; i++)
            {
                if (given < shares.Length && shares[i] > 0) continue;
                if (best < 0 || (shares[i] + 1) * seconds[i] < (shares[best] + 1) * seconds[best]) best = i;
            }
            shares[best]++;
        }
        return shares;

        static bool IsKnown(double value) => double.IsFinite(value) && value > 0;
    }
}
