namespace Aisle.Benchmarks.Exchange;

/// <summary>
/// Every rank gives an array of float32 and gets the sum of all: ours exact in fixed point, the peer's in floats. Ranks are processes; they are connected
/// before the clock starts; each turn's figure is the slowest rank's mean.
/// </summary>
internal static class ExchangeBenchmark
{
    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall)
    {
        var version = await TorchPeer.FindVersionAsync();
        foreach (var ranks in isSmall ? [2] : new[] { 2, 4 })
        {
            foreach (var plan in isSmall ? [Plan.Small] : new[] { Plan.OneMebibyte, Plan.ManyMebibytes }) yield return await MeasureAsync(ranks, plan, version);
        }
    }

    private static async Task<CaseResult> MeasureAsync(int ranks, Plan plan, string? version)
    {
        var elements = plan.Bytes / sizeof(float);
        using var ours = await RankSet.StartOursAsync(ranks, elements);
        using var peer = version is null ? null : RankSet.StartGloo(ranks, elements);
        List<double> ourTimes = [], peerTimes = [];
        await ours.CheckAsync();
        await ours.TimeAsync(plan.WarmUpSums);
        if (peer is not null)
        {
            await peer.CheckAsync();
            await peer.TimeAsync(plan.WarmUpSums);
        }
        for (var turn = 0; turn < plan.Turns; turn++)
        {
            ourTimes.Add(await ours.TimeAsync(plan.SumsPerTurn));
            if (peer is not null) peerTimes.Add(await peer.TimeAsync(plan.SumsPerTurn));
        }
        await ours.CheckAsync();
        var name = $"tcp {ranks} ranks {plan.Size}";
        Console.Error.WriteLine($"{name}: ours {Range(ourTimes)}{(peer is null ? "" : $", Gloo {Range(peerTimes)}")}, fastest to slowest turn in ms");
        return CaseResult.OfTimes("exchange", name, "ms", ourTimes, peerTimes, version is null ? "Gloo (absent)" : $"Gloo of PyTorch {version}");
    }

    private static string Range(List<double> times) => FormattableString.Invariant($"{times.Min():0.00} to {times.Max():0.00}");

    private sealed record Plan(string Size, int Bytes, int WarmUpSums, int SumsPerTurn, int Turns)
    {
        public static readonly Plan Small = new("16 KiB", 1 << 14, 5, 5, 3);
        public static readonly Plan OneMebibyte = new("1 MiB", 1 << 20, 300, 40, 9);
        public static readonly Plan ManyMebibytes = new("64 MiB", 1 << 26, 10, 3, 9);
    }
}
