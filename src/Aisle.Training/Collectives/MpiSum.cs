namespace Aisle.Training.Collectives;

/// <summary>Sums gradients through MPI: the ranks are those that <c>mpirun</c> started.</summary>
public static class MpiSum
{
    /// <summary>Joins the world of this process; all ranks call it, and one world is all that a process can have.</summary>
    /// <param name="ranks">How many ranks there must be; null takes what comes.</param>
    /// <exception cref="AisleException">
    /// AISLE-5190: no OpenMPI. AISLE-5191: MPI was used up in this process. AISLE-5192: another number of ranks. AISLE-5193: the ranks' shapes differ. AISLE-5194: MPI failed.
    /// </exception>
    public static IGradientSum Open(GradientShape shape, int? ranks = null)
    {
        var collective = new MpiCollective(OpenMpi.Load());
        if (ranks is { } expected && expected != collective.Ranks)
        {
            var found = collective.Ranks;
            collective.Dispose();
            throw new AisleException("AISLE-5192", $"MPI started {found} ranks, not {expected}.", $"Start the program with `mpirun -n {expected} program`, or expect {found} ranks.");
        }
        return new CollectiveSum(collective, shape);
    }
}
