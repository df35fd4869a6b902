namespace Aisle.Ledger.Tests.Simulation;

internal enum Trouble
{
    Crash,
    CrashAll,
    FailFlush,
    SlowDisk,
    Pause,
    CutOneWay,
    Isolate,
    Split,
    Transfer,
    AddLearner,
    Promote,
    Remove,
    LoseSnapshot,

    /// <summary>A leader that is cut off takes many more proposals, and is asked to remove everybody else.</summary>
    FloodAlone,
}

/// <summary>What goes wrong at a time. <paramref name="A"/> and <paramref name="B"/> pick members, among those that are there then.</summary>
internal sealed record Fault(int Number, long At, Trouble Trouble, int A, int B, int Lasting)
{
    public override string ToString() => $"{Number}: {Trouble} {A}/{B} at {At} for {Lasting}";
}

/// <summary>Everything a run is made of, drawn from its seed: how many members, how bad the network is, and what goes wrong when.</summary>
internal sealed record SimulationPlan
{
    /// <summary>Trouble ends here; then everything must come together.</summary>
    public const long Heals = 1_600;

    public required ulong Seed { get; init; }

    public required int Members { get; init; }

    public required double LossPercent { get; init; }

    public required double DoublePercent { get; init; }

    public required int SlowestMessage { get; init; }

    public required int SlowestFlush { get; init; }

    /// <summary>Entries between two snapshots of a member.</summary>
    public required int SnapshotEvery { get; init; }

    public required bool ReadLease { get; init; }

    public required IReadOnlyList<Fault> Faults { get; init; }

    public static SimulationPlan Of(ulong seed)
    {
        var chance = new Chance(seed * 2 + 1);
        var calm = chance.Percent(20);
        var plan = new SimulationPlan
        {
            Seed = seed,
            Members = chance.Next(10) switch { 0 => 1, < 6 => 3, _ => 5 },
            LossPercent = calm ? 0 : chance.OneOf([0, 1, 5, 15]),
            DoublePercent = calm ? 0 : chance.OneOf([0, 1, 10]),
            SlowestMessage = calm ? 2 : chance.OneOf([2, 10, 40]),
            SlowestFlush = chance.OneOf([1, 5, 30]),
            SnapshotEvery = chance.OneOf([8, 20, 60, 1_000]),
            ReadLease = chance.Percent(25),
            Faults = [],
        };
        var faults = new List<Fault>();
        var count = chance.Between(3, 12);
        var kinds = Enum.GetValues<Trouble>();
        for (var i = 0; i < count; i++)
        {
            // Crashes are what the promise is about.
            var trouble = chance.Percent(25) ? Trouble.Crash : chance.OneOf(kinds);
            faults.Add(new Fault(i, chance.Between(200, (int)Heals), trouble, chance.Next(60), chance.Next(60), chance.Between(20, 600)));
        }
        return plan with { Faults = faults };
    }

    /// <summary>One election after the other: members crash and are back at once, and leadership is handed around meanwhile.</summary>
    public static SimulationPlan OfElections(ulong seed)
    {
        var chance = new Chance(seed * 2 + 1);
        var faults = new List<Fault>();
        for (long at = 300; at < Heals; at += chance.Between(5, 60))
        {
            faults.Add(new Fault(faults.Count, at, chance.Percent(50) ? Trouble.Crash : Trouble.Transfer, chance.Next(60), chance.Next(60), chance.Between(1, 10)));
        }
        return Of(seed) with { Members = 5, LossPercent = 5, DoublePercent = 10, SlowestMessage = 40, Faults = faults };
    }

    public override string ToString() =>
        $"seed {Seed}: {Members} members, {LossPercent} % lost, {DoublePercent} % doubled, messages to {SlowestMessage}, flushes to {SlowestFlush}, "
        + $"snapshot every {SnapshotEvery}{(ReadLease ? ", read lease" : "")}";
}
