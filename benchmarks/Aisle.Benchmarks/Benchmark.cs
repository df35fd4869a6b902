using Aisle.Benchmarks.Exchange;
using Aisle.Benchmarks.Ledger;
using Aisle.Benchmarks.Training;

namespace Aisle.Benchmarks;

/// <summary>Something measured beside the program that people use for it today.</summary>
/// <param name="Run">Measures case after case; given whether to run tiny, which shows that it works and says nothing about speed.</param>
internal sealed record Benchmark(string Name, string About, Func<bool, IAsyncEnumerable<CaseResult>> Run)
{
    /// <summary>Measures only the cases whose names hold a text; null where the benchmark knows no such choice.</summary>
    public Func<bool, string, IAsyncEnumerable<CaseResult>>? RunSome { get; init; }

    public static IReadOnlyList<Benchmark> All { get; } =
    [
        new("exchange", "summing gradients among processes over loopback TCP and shared memory, beside Gloo and OpenMPI", isSmall => ExchangeBenchmark.RunAsync(isSmall, ""))
        {
            RunSome = ExchangeBenchmark.RunAsync,
        },
        new("training", "tokens a second of a language model on one and two workers, beside PyTorch and beside two runs that share nothing", TrainingBenchmark.RunAsync),
        new("exactness", "a step with sums in which order cannot matter, beside the same engine summing floats as they come", ExactnessBenchmark.RunAsync),
        new("audit", "two workers of which a second one computes a 64th of all slices too, beside two that nobody looks after", AuditBenchmark.RunAsync),
        new("codecs", "bytes on the wire and final loss of each way to round gradients, beside sums of plain floats", CodecsBenchmark.RunAsync),
        new("recovery", "from SIGKILL of one of three workers to the next finished step, beside torchrun", RecoveryBenchmark.RunAsync),
        new("ledger", "durable writes a second to three members, beside etcd", isSmall => LedgerBenchmark.RunAsync(isSmall, "")) { RunSome = LedgerBenchmark.RunAsync },
        new("failover", "from SIGKILL of the leader of three to the next acknowledged write, beside etcd", isSmall => FailoverBenchmark.RunAsync(isSmall, ""))
        {
            RunSome = FailoverBenchmark.RunAsync,
        },
    ];
}

/// <summary>A measurement that cannot be used: a wrong answer, or a process that failed.</summary>
internal sealed class BenchmarkFailedException(string message) : Exception(message);
