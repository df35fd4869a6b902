using System.Diagnostics;

namespace Aisle.Benchmarks.Ledger;

/// <summary>Writes a second to three members with every disk flushed, and the wait of the slowest hundredth, beside etcd.</summary>
internal static class LedgerBenchmark
{
    private const int InBatch = 100;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly (string Name, int Clients, int Count)[] Cases = [("1 client", 1, 1), ("64 clients", 64, 1), ("batch", 8, InBatch)];

    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall, string wanted)
    {
        var (turns, turn) = isSmall ? (1, TimeSpan.FromSeconds(0.3)) : (3, TimeSpan.FromSeconds(2));
        await using IWriteCluster ours = await OurCluster.StartAsync();
        await using IWriteCluster? peer = await EtcdCluster.IsThereAsync() ? await EtcdCluster.StartAsync() : null;
        foreach (var (name, clients, count) in Cases.Where(known => known.Name.Contains(wanted, StringComparison.Ordinal)))
        {
            List<(double Rate, double P99)> us = [], them = [];
            for (var i = -1; i < turns; i++)
            {
                var mine = await MeasureAsync(ours, clients, count, turn);
                var theirs = peer is null ? default : await MeasureAsync(peer, clients, count, turn);
                if (i < 0) continue;   // a turn to get warm
                us.Add(mine);
                if (peer is not null) them.Add(theirs);
            }
            yield return CaseResult.OfRates("ledger", name, "writes/s", us.Select(one => one.Rate), them.Select(one => one.Rate), "etcd");
            yield return CaseResult.OfTimes("ledger", name + ", p99", "ms", us.Select(one => one.P99), them.Select(one => one.P99), "etcd");
        }
    }

    private static async Task<(double Rate, double P99)> MeasureAsync(IWriteCluster cluster, int clients, int count, TimeSpan turn)
    {
        await cluster.LeaderAsync();
        var begin = Stopwatch.GetTimestamp();
        var waits = await Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(async () =>
        {
            using var writer = cluster.NewClient();
            var waits = new List<double>();
            for (var serial = 0L; Stopwatch.GetElapsedTime(begin) < turn; serial++)
            {
                var asked = Stopwatch.GetTimestamp();
                if (!await writer.WriteAsync(client, serial + begin, count, Patience)) writer.GoOn();   // it lost its leader: counted as one long wait
                else waits.Add(Stopwatch.GetElapsedTime(asked).TotalMilliseconds);
            }
            return waits;
        })));
        var seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        double[] all = [.. waits.SelectMany(some => some).Order()];
        return all.Length == 0 ? throw new BenchmarkFailedException("No write was answered.") : (all.Length * count / seconds, all[(int)(0.99 * (all.Length - 1))]);
    }
}
