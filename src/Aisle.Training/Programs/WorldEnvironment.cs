using System.Globalization;

namespace Aisle.Training.Programs;

/// <summary>What OpenMPI's <c>mpirun</c> tells a rank, and what the ranks are to sum with.</summary>
internal sealed record WorldEnvironment(int Rank, int Ranks, int RankOnMachine, string Job, bool ByNccl)
{
    private const string Choice = "AISLE_COLLECTIVE";

    /// <returns>Null when <c>mpirun</c> did not start this program.</returns>
    /// <exception cref="AisleException">AISLE-5199: what stands there makes no sense.</exception>
    public static WorldEnvironment? Read(Func<string, string?> variable)
    {
        if (variable("OMPI_COMM_WORLD_SIZE") is null) return null;
        var byNccl = variable(Choice) switch
        {
            null or "" or "mpi" => false,
            "nccl" => true,
            var other => throw new AisleException("AISLE-5199", $"{Choice} is '{other}'.", "Set it to mpi or nccl, or leave it out for mpi."),
        };
        return new WorldEnvironment(Number("OMPI_COMM_WORLD_RANK"), Number("OMPI_COMM_WORLD_SIZE"), Number("OMPI_COMM_WORLD_LOCAL_RANK"), variable("PMIX_NAMESPACE") ?? "job", byNccl);

        int Number(string name) => int.TryParse(variable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new AisleException("AISLE-5199", $"{name} is '{variable(name)}', which is no number of a rank.", "Start the program with OpenMPI's `mpirun -n RANKS program`.");
    }
}
