using System.Globalization;
using System.Security.Cryptography;
using Aisle.Training.Exchange;

namespace Aisle.Benchmarks.Exchange;

/// <summary>All ranks of one side, connected and waiting for orders. A rank that waits uses no processor, so both sides can stand ready and take turns.</summary>
internal sealed class RankSet : IDisposable
{
    private readonly List<ChildProcess> _ranks = [];
    private string? _folder;

    public static async Task<RankSet> StartOursAsync(int ranks, int elements, ExchangeTransport transport)
    {
        var set = new RankSet();
        var secret = RandomNumberGenerator.GetHexString(64);
        for (var rank = 0; rank < ranks; rank++) set._ranks.Add(ChildProcess.Ours(ExchangeRank.Role, Text(rank), Text(ranks), Text(elements), secret, transport.ToString()));
        var endPoints = await Task.WhenAll(set._ranks.Select(rank => rank.HearAsync()));
        foreach (var rank in set._ranks) rank.Say(string.Join(' ', endPoints));
        return set;
    }

    public static RankSet StartGloo(int ranks, int elements)
    {
        var set = new RankSet { _folder = Directory.CreateTempSubdirectory("aisle-bench-").FullName };
        var meeting = Path.Combine(set._folder, "meeting");
        for (var rank = 0; rank < ranks; rank++) set._ranks.Add(ChildProcess.Python(ChildProcess.Script("exchange.py"), Text(rank), Text(ranks), Text(elements), meeting));
        return set;
    }

    public static RankSet StartMpi(MpiPeer mpi, int ranks, int elements, bool isShared)
    {
        var set = new RankSet();
        set._ranks.Add(mpi.Start(ranks, elements, isShared));
        return set;
    }

    /// <summary>What one sum takes: the mean over so many.</summary>
    public async Task<SumTime> TimeAsync(int sums)
    {
        var answers = (await OrderAsync($"time {sums}")).Select(answer => answer.Split(' ').Select(part => double.Parse(part, CultureInfo.InvariantCulture)).ToArray()).ToList();
        return new SumTime(answers.Max(times => times[0]), answers.Sum(times => times.Length > 1 ? times[1] : 0), answers.Sum(times => times.Length > 2 ? times[2] : 0));
    }

    /// <exception cref="BenchmarkFailedException">A rank holds a wrong sum, or the ranks hold different ones.</exception>
    public async Task CheckAsync()
    {
        var sums = await OrderAsync("check");
        if (sums.Contains("wrong") || sums.Distinct().Count() != 1) throw new BenchmarkFailedException($"The ranks' sums are not right and equal: {string.Join(", ", sums)}");
    }

    public void Dispose()
    {
        foreach (var rank in _ranks)
        {
            rank.LetEnd(); // a killed mpirun leaves its shared memory behind
            rank.Dispose();
        }
        if (_folder is not null) Directory.Delete(_folder, recursive: true);
    }

    private Task<string[]> OrderAsync(string order)
    {
        foreach (var rank in _ranks) rank.Say(order);
        return Task.WhenAll(_ranks.Select(rank => rank.HearAsync()));
    }

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>Milliseconds of one sum.</summary>
/// <param name="Slowest">On the clock, at the slowest rank.</param>
/// <param name="User">Of processor, all ranks together; 0 where the side does not say.</param>
/// <param name="Kernel">The same within the kernel.</param>
internal readonly record struct SumTime(double Slowest, double User, double Kernel);
