using Aisle.Training.Exchange;

namespace Aisle.Benchmarks.Exchange;

/// <summary>
/// Every rank gives an array of float32 and gets the sum of all: ours exact in fixed point, the peers' in floats. Ranks are processes; they are connected
/// before the clock starts; each turn's figure is the slowest rank's mean. A case has a line for each peer. Standard error also says what processor time a sum takes,
/// all ranks together, which a busy machine troubles less.
/// </summary>
internal static class ExchangeBenchmark
{
    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall, string wanted)
    {
        var gloo = await TorchPeer.FindVersionAsync();
        using var mpi = await MpiPeer.FindAsync();
        foreach (var plan in (isSmall ? Plan.Small : Plan.Whole).Where(plan => plan.Name.Contains(wanted, StringComparison.Ordinal)))
        {
            foreach (var result in await MeasureAsync(plan, gloo, mpi)) yield return result;
        }
    }

    private static async Task<IReadOnlyList<CaseResult>> MeasureAsync(Plan plan, string? gloo, MpiPeer? mpi)
    {
        List<Side> sides = [];
        try
        {
            sides.Add(new Side("ours", await RankSet.StartOursAsync(plan.Ranks, plan.Elements, plan.IsShared ? ExchangeTransport.Automatic : ExchangeTransport.Tcp)));
            if (gloo is not null) sides.Add(new Side($"Gloo of PyTorch {gloo}", RankSet.StartGloo(plan.Ranks, plan.Elements)));
            if (mpi is not null) sides.Add(new Side($"OpenMPI {mpi.Version}", RankSet.StartMpi(mpi, plan.Ranks, plan.Elements, plan.IsShared)));
            foreach (var side in sides)
            {
                await side.Ranks.CheckAsync();
                await side.Ranks.TimeAsync(plan.WarmUpSums);
            }
            for (var turn = 0; turn < plan.Turns; turn++)
            {
                foreach (var side in sides) side.Add(await side.Ranks.TimeAsync(plan.SumsPerTurn));
            }
            await sides[0].Ranks.CheckAsync();
            Console.Error.WriteLine($"{plan.Name}: {string.Join(", ", sides)}, fastest to slowest turn in ms");
            if (sides.Count == 1) return [CaseResult.OfTimes("exchange", plan.Name, "ms", sides[0].Times, [], "none here")];
            return [.. sides.Skip(1).Select(peer => CaseResult.OfTimes("exchange", plan.Name, "ms", sides[0].Times, peer.Times, peer.Name))];
        }
        finally
        {
            foreach (var side in sides) side.Ranks.Dispose();
        }
    }

    private sealed record Side(string Name, RankSet Ranks)
    {
        private readonly List<double> _user = [];
        private readonly List<double> _kernel = [];

        public List<double> Times { get; } = [];

        public void Add(SumTime turn)
        {
            Times.Add(turn.Slowest);
            if (turn.User + turn.Kernel == 0) return;
            _user.Add(turn.User);
            _kernel.Add(turn.Kernel);
        }

        public override string ToString() => FormattableString.Invariant($"{Name} {Times.Min():0.000} to {Times.Max():0.000}") +
            (_user.Count == 0 ? "" : FormattableString.Invariant($" (processor {_user.Order().ElementAt(_user.Count / 2):0.000} user + {_kernel.Order().ElementAt(_kernel.Count / 2):0.000} kernel)"));
    }

    private sealed record Plan(bool IsShared, int Ranks, string Size, int Bytes, int WarmUpSums, int SumsPerTurn, int Turns)
    {
        public static readonly Plan[] Small = [new(false, 2, "16 KiB", 1 << 14, 5, 5, 3), new(true, 2, "16 KiB", 1 << 14, 5, 5, 3)];

        public static readonly Plan[] Whole =
        [
            Of64KiB(false, 2), Of1MiB(false, 2), Of16MiB(false, 2), Of64MiB(false, 2), Of64KiB(false, 4), Of16MiB(false, 4), Of64MiB(false, 4),
            Of64KiB(true, 2), Of1MiB(true, 2), Of16MiB(true, 2), Of64MiB(true, 2), Of64KiB(true, 4), Of16MiB(true, 4), Of64MiB(true, 4),
        ];

        public int Elements => Bytes / sizeof(float);

        public string Name => $"{(IsShared ? "shared memory" : "tcp")} {Ranks} ranks {Size}";

        private static Plan Of64KiB(bool isShared, int ranks) => new(isShared, ranks, "64 KiB", 1 << 16, 2000, 300, 9);

        private static Plan Of1MiB(bool isShared, int ranks) => new(isShared, ranks, "1 MiB", 1 << 20, 500, 60, 9);

        private static Plan Of16MiB(bool isShared, int ranks) => new(isShared, ranks, "16 MiB", 1 << 24, 40, 8, 9);

        private static Plan Of64MiB(bool isShared, int ranks) => new(isShared, ranks, "64 MiB", 1 << 26, 12, 3, 9);
    }
}
