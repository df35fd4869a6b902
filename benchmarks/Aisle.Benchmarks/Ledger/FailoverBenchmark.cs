using System.Diagnostics;

namespace Aisle.Benchmarks.Ledger;

/// <summary>From SIGKILL of the leader of three to the next acknowledged write, beside etcd as it comes and etcd with short times.</summary>
internal static class FailoverBenchmark
{
    private static readonly TimeSpan Attempt = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan GivesUp = TimeSpan.FromSeconds(60);

    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall, string wanted)
    {
        var turns = isSmall ? 1 : 5;
        var isThere = await EtcdCluster.IsThereAsync();
        foreach (var (name, peerName, options) in new[] { ("kill -9", "etcd", Array.Empty<string>()), ("kill -9, tuned", "etcd 30/300 ms", ["--heartbeat-interval", "30", "--election-timeout", "300"]) })
        {
            if (!name.Contains(wanted, StringComparison.Ordinal)) continue;
            await using IWriteCluster ours = await OurCluster.StartAsync();
            await using IWriteCluster? peer = isThere ? await EtcdCluster.StartAsync(options) : null;
            List<double> us = [], them = [];
            for (var turn = 0; turn < turns; turn++)
            {
                us.Add(await MeasureAsync(ours));
                if (peer is not null) them.Add(await MeasureAsync(peer));
            }
            yield return CaseResult.OfTimes("failover", name, "ms", us, them, peerName);
        }
    }

    private static async Task<double> MeasureAsync(IWriteCluster cluster)
    {
        var leader = await cluster.LeaderAsync();
        using var client = cluster.NewClient();
        var serial = Stopwatch.GetTimestamp();
        // Written to for a second first: members that just began are not what is measured.
        for (var begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < TimeSpan.FromSeconds(1);) await client.WriteAsync(0, serial++, 1, GivesUp);
        cluster.Kill(leader);
        var killed = Stopwatch.GetTimestamp();
        while (!await client.WriteAsync(0, serial++, 1, Attempt))
        {
            if (Stopwatch.GetElapsedTime(killed) > GivesUp) throw new BenchmarkFailedException($"Nobody answered for {GivesUp.TotalSeconds} s after the leader was killed.");
            client.GoOn();
            await Task.Delay(2);
        }
        var took = Stopwatch.GetElapsedTime(killed).TotalMilliseconds;
        await cluster.RestartAsync(leader);
        return took;
    }
}
