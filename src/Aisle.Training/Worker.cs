using System.Net;
using Aisle.Artifacts;
using Aisle.Training.Checkpoints;
using Aisle.Training.Exchange;

namespace Aisle.Training;

/// <summary>What a worker is given.</summary>
public sealed record WorkerOptions
{
    /// <summary>For people: shown in events and messages.</summary>
    public required string Name { get; init; }

    public required EndPoint Coordinator { get; init; }

    /// <summary>Shared by the job's coordinator and workers, and nobody else.</summary>
    public required ReadOnlyMemory<byte> Secret { get; init; }

    public required TrainingRecipe Recipe { get; init; }

    /// <summary>Builds the model and its data; called once, on the thread that will compute. The worker disposes what it returns.</summary>
    public required Func<TrainingRecipe, ITrainable> Model { get; init; }

    /// <summary>What decides floating-point bits on this machine, for people: shown when a canary differs. The model's own when null.</summary>
    public string? NumericClass { get; init; }

    public required ICheckpointStore Store { get; init; }

    /// <summary>For files on their way to or from the store. Created when absent; what the worker puts there it removes.</summary>
    public required string ScratchFolder { get; init; }

    /// <summary>Where peers may connect; port 0 takes any free one.</summary>
    public IPEndPoint Listen { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>How gradients travel; see <see cref="ExchangeTransports"/>.</summary>
    public ExchangeTransport Transport { get; init; } = ExchangeTransports.FromEnvironment();

    /// <summary>How long to try to reach the coordinator.</summary>
    public TimeSpan ConnectWithin { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long to look for a coordinator that was lost. Its next one, at the same endpoint, takes up the run from this worker's state.</summary>
    public TimeSpan ReconnectWithin { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Asks the worker to go when nobody needs it any more: it ends as at the end of a run, and nothing has to be computed again.</summary>
    public CancellationToken Leaving { get; init; }

    /// <summary>For tests: a bit that flips in this worker's memory.</summary>
    internal MemoryFault? Fault { get; init; }

    /// <summary>For tests: pieces of the state leave when this worker has made so many steps more.</summary>
    internal int GiftsLateBySteps { get; init; }

    /// <summary>Called after each slice and step, on the computing thread: return soon.</summary>
    public Action<WorkerProgress>? Progress { get; init; }

    /// <summary>One line about something odd that was dealt with.</summary>
    public Action<string>? Log { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <param name="Step">Updates made to the weights so far.</param>
/// <param name="SlicesComputed">By this worker since its start.</param>
public readonly record struct WorkerProgress(long Step, long SlicesComputed);

/// <param name="Step">The step the run ended at, or the worker left at.</param>
/// <param name="WeightsHash">XXH3-64 of the weights there.</param>
public sealed record WorkerOutcome(long Step, ulong WeightsHash, long SlicesComputed);

/// <summary>Computes slices for a coordinator until the run is over. It owns nothing that the run needs: stop it or kill it at any moment.</summary>
public static class Worker
{
    /// <exception cref="AisleException">
    /// AISLE-5125: another secret. AISLE-5127: the coordinator cannot be reached. AISLE-5122, 5123: refused for its recipe or numeric class.
    /// AISLE-5190: it computes wrongly, and is shut out.
    /// AISLE-5128: the coordinator is gone, and none has come in its place.
    /// </exception>
    public static async Task<WorkerOutcome> RunAsync(WorkerOptions options, CancellationToken cancellationToken)
    {
        using var session = new WorkerSession(options);
        return await session.RunAsync(cancellationToken).ConfigureAwait(false);
    }
}
