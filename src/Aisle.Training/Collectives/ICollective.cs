namespace Aisle.Training.Collectives;

/// <summary>
/// What a message-passing library gives a fixed set of ranks, in 64-bit words. Its sides are MPI and NCCL. All ranks make the same calls in the same order,
/// each from one thread at a time; a call returns when its result is here.
/// </summary>
internal unsafe interface ICollective : IDisposable
{
    int Rank { get; }

    int Ranks { get; }

    /// <summary>Memory that this library moves best; freed with the collective. Cleared.</summary>
    long* Allocate(nuint words);

    /// <summary>Adds up all ranks' <paramref name="values"/>, and gives each rank the block of its own number.</summary>
    /// <param name="values">[ranks × block], from <see cref="Allocate"/>; kept as it is.</param>
    /// <param name="own">[block], from <see cref="Allocate"/>.</param>
    void ReduceScatter(long* values, long* own, int block);

    /// <summary>Gives every rank every rank's block. A rank's own stands in its place already.</summary>
    /// <param name="all">[ranks × block], from <see cref="Allocate"/>.</param>
    void AllGather(long* all, int block);

    /// <summary>Leaves in good order, together with all other ranks.</summary>
    void Complete();
}
