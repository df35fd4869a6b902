namespace Aisle.Ledger.Consensus;

/// <summary>Times and bounds of one member. Times are ticks of the clock that the shell hands in; the defaults take a tick for a millisecond.</summary>
internal sealed record RaftSettings
{
    /// <summary>Between two heartbeats of a leader.</summary>
    public long Heartbeat { get; init; } = 30;

    /// <summary>Silence of a leader after which an election may begin. Stretched by what was seen (<see cref="Pace"/>), never shortened. Equal on all members.</summary>
    public long ElectionMinimum { get; init; } = 200;

    /// <summary>Added by chance, so that members do not stand against each other.</summary>
    public long ElectionSpread { get; init; } = 150;

    /// <summary>How far <see cref="ElectionMinimum"/> stretches.</summary>
    public long ElectionMaximum { get; init; } = 3_000;

    /// <summary>Silence after which what was sent to a follower is taken for lost, and a chunk of a snapshot is sent again.</summary>
    public long ResendAfter { get; init; } = 150;

    /// <summary>How long a majority's answer lets the leader read without asking again; 0: it always asks. Needs clocks that run equally fast, and must be
    /// shorter than <see cref="ElectionMinimum"/> by more than they may differ.</summary>
    public long ReadLease
    {
        get;
        init => field = value >= 0 ? value : throw new ArgumentOutOfRangeException(nameof(ReadLease), value, "Choose 0 or more.");
    }

    /// <summary>Bytes of entries in one message, or handed over for applying at once. A single larger entry still goes.</summary>
    public int MaxMessageBytes { get; init; } = 1 << 20;

    /// <summary>Messages with entries that may be on their way to one follower.</summary>
    public int MaxInFlightMessages { get; init; } = 8;

    /// <summary>Bytes of entries that may be on their way to one follower.</summary>
    public long MaxInFlightBytes { get; init; } = 8 << 20;

    /// <summary>Bytes that a leader takes before they commit; beyond it the answer is <see cref="Verdict.Busy"/>.</summary>
    public long MaxUncommittedBytes { get; init; } = 64 << 20;

    /// <summary>Reads that may wait for a round.</summary>
    public int MaxWaitingReads { get; init; } = 65_536;

    /// <summary>Bytes of applied entries kept in memory for followers that are a little behind; older ones are read back from the log.</summary>
    public long TailBytes { get; init; } = 16 << 20;

    /// <summary>Entries a learner may lack when it is made a voter.</summary>
    public long PromotionLag { get; init; } = 256;

    /// <summary>Where chance comes from.</summary>
    public ulong Seed { get; init; }

    /// <exception cref="ArgumentException">Two settings contradict each other.</exception>
    public RaftSettings Checked() =>
        Heartbeat < 1 || ElectionMinimum < 3 * Heartbeat || ElectionMaximum < ElectionMinimum || ElectionSpread < 1
            ? throw new ArgumentException($"Heartbeat {Heartbeat}, election minimum {ElectionMinimum}, maximum {ElectionMaximum}, spread {ElectionSpread}: "
                + "an election needs three missed heartbeats at least, and a spread.")
            : ReadLease >= ElectionMinimum
                ? throw new ArgumentException($"A read lease of {ReadLease} is not shorter than the election minimum {ElectionMinimum}: two leaders could answer.")
                : this;
}
