using Aisle.Training.Wire;

namespace Aisle.Training.Collectives;

/// <summary>What is summed: all ranks of a world have the same.</summary>
/// <param name="Elements">Parameters of the model.</param>
/// <param name="FractionBits">Of the fixed-point sums, after the binary point.</param>
public readonly record struct GradientShape(int Elements, int FractionBits);

/// <summary>
/// Sums a gradient among a fixed set of ranks. Integers are added, so every rank gets the same bits whatever the transport, its algorithm and the number of
/// ranks. Its sides are the direct exchange (<see cref="DirectSum"/>), and MPI and NCCL (<see cref="CollectiveSum"/>). Not thread-safe. Nothing is allocated by
/// <see cref="Reduce"/> on the managed heap after the first call over MPI and NCCL.
/// </summary>
public interface IGradientSum : IDisposable
{
    /// <summary>From 0.</summary>
    int Rank { get; }

    int Ranks { get; }

    /// <summary>[elements] Where this rank puts its sum over its own slices; overwrite all of it before each <see cref="Reduce"/>.</summary>
    Span<long> Sums { get; }

    /// <summary>Adds up what every rank put into <see cref="Sums"/> and divides it once. Returns when the whole mean is here; every rank calls it equally often.</summary>
    /// <param name="divisor">What the full sum is divided by, once: tokens in the step. The same on all ranks.</param>
    /// <param name="all">The ranks' notes added up.</param>
    /// <returns>[elements] The mean; valid until the next call.</returns>
    /// <exception cref="AisleException">AISLE-5194: the transport failed; the world is over.</exception>
    ReadOnlySpan<float> Reduce(ShardNote mine, double divisor, out ShardNote all);

    /// <summary>Every rank's words, in rank order: for comparing what must be equal. A few words, each a message of its own on some sides.</summary>
    /// <param name="all">[ranks × words]</param>
    void Gather(ReadOnlySpan<long> mine, Span<long> all);

    /// <summary>Leaves in good order, when every rank has summed all it will. Disposing without it says that the others wait in vain.</summary>
    void Complete();
}
