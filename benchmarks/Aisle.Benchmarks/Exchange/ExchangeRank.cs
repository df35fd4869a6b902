using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Aisle.Artifacts;
using Aisle.Training.Exchange;
using Aisle.Training.Numerics;

namespace Aisle.Benchmarks.Exchange;

/// <summary>
/// One rank of ours. Says its endpoint, is told everyone's, and then obeys: <c>time N</c> is answered with the mean milliseconds of N sums
/// and of processor time that each took here (user, then kernel),
/// <c>check</c> with the digest of a sum that was found right. Ends with its standard input. The peer's rank in exchange.py talks alike.
/// </summary>
internal static class ExchangeRank
{
    public const string Role = "exchange-rank";
    private const int FractionBits = 36;

    /// <param name="arguments">rank, ranks, floats to sum, shared secret in hex, transport.</param>
    public static int Run(string[] arguments)
    {
        var (rank, ranks, elements) = (Whole(arguments[0]), Whole(arguments[1]), Whole(arguments[2]));
        using var exchange = new GradientExchange(rank, ranks, elements, Convert.FromHexString(arguments[3]), fractionBits: FractionBits, transport: Enum.Parse<ExchangeTransport>(arguments[4]));
        Console.WriteLine(exchange.EndPoint);
        exchange.Connect([.. Console.ReadLine()!.Split(' ').Select(IPEndPoint.Parse)]);
        var own = Values(rank, elements);
        own.CopyTo(exchange.Values);
        while (Console.ReadLine() is { } order)
        {
            if (order == "check")
            {
                var sum = exchange.AllReduce();
                Console.WriteLine(sum.SequenceEqual(DirectSum(ranks, elements)) ? Digest.Of(MemoryMarshal.AsBytes(sum)) : "wrong");
                continue;
            }
            var sums = Whole(order.Split(' ')[1]);
            long ticks = 0;
            var before = Environment.CpuUsage;
            for (var i = 0; i < sums; i++)
            {
                var start = Stopwatch.GetTimestamp();
                exchange.AllReduce();
                ticks += Stopwatch.GetTimestamp() - start;
            }
            var used = Environment.CpuUsage;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{ticks * 1000.0 / Stopwatch.Frequency / sums:R} {(used.UserTime - before.UserTime).TotalMilliseconds / sums:R} {(used.PrivilegedTime - before.PrivilegedTime).TotalMilliseconds / sums:R}"));
        }
        return 0;
    }

    // The sum that all must hold, without an exchange.
    private static float[] DirectSum(int ranks, int elements)
    {
        var sum = new long[elements];
        for (var rank = 0; rank < ranks; rank++) FixedPoint.Accumulate(Values(rank, elements), sum, FractionBits);
        var mean = new float[elements];
        FixedPoint.Mean(sum, mean, FractionBits, divisor: 1);
        return mean;
    }

    // Bell-shaped with a deviation of 0.01, as gradients are: how far integers can be packed depends on it.
    private static float[] Values(int rank, int elements)
    {
        var random = new Random(rank + 1);
        var values = new float[elements];
        for (var i = 0; i < elements; i++) values[i] = (random.NextSingle() + random.NextSingle() + random.NextSingle() + random.NextSingle() - 2) * 0.0173f;
        return values;
    }

    private static int Whole(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
