namespace Aisle.Training.Collectives;

/// <summary>Which rank a process is, and where it meets the others.</summary>
public sealed record NcclPlace
{
    /// <summary>From 0.</summary>
    public required int Rank { get; init; }

    public required int Ranks { get; init; }

    /// <summary>The CUDA device of this rank, from 0 on each machine.</summary>
    public required int Device { get; init; }

    /// <summary>
    /// A file that does not exist yet, in a folder that all ranks see, the same for all of them and a new one for each run. It is there only while the ranks meet, and
    /// readable by its owner alone.
    /// </summary>
    public required string IdFile { get; init; }

    /// <summary>How long one sum may take, the wait for the slowest rank included, before the world is given up.</summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>Sums gradients through NCCL, among the devices of NVIDIA's that the ranks have.</summary>
public static class NcclSum
{
    /// <summary>Joins the world; all ranks call it.</summary>
    /// <exception cref="AisleException">
    /// AISLE-5192: the ranks count differently. AISLE-5193: their shapes differ. AISLE-5194: NCCL or CUDA failed. AISLE-5196: no NCCL. AISLE-5197: the ranks do not find each
    /// other. AISLE-5198: there is no such rank or device.
    /// </exception>
    public static IGradientSum Open(GradientShape shape, NcclPlace place, TimeProvider? time = null) =>
        new CollectiveSum(new NcclCollective(new Nccl(), new Cuda(), place, time ?? TimeProvider.System), shape);
}
