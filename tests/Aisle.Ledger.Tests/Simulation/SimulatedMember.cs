using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Simulation;

/// <summary>A member's process, or its machine while the process is down.</summary>
internal sealed class SimulatedMember(MemberId id, SimulatedDisk disk, int clockPercent)
{
    public MemberId Id => id;

    public SimulatedDisk Disk => disk;

    /// <summary>Null while it is down.</summary>
    public Raft? Raft { get; set; }

    public SimulatedState State { get; set; } = new();

    /// <summary>Rises with every start: what was meant for an earlier process ends nowhere.</summary>
    public int Life { get; set; }

    public long PausedUntil { get; set; }

    public long SlowDiskUntil { get; set; }

    public bool FlushFails { get; set; }

    /// <summary>When the disk is done with what it has.</summary>
    public long DiskBusyUntil { get; set; }

    public bool IsMakingSnapshot { get; set; }

    public List<byte> Arriving { get; } = [];

    /// <summary>What clients wait for, by number of the request.</summary>
    public Dictionary<long, Request> Requests { get; } = [];

    public List<(long Index, Request Request)> AwaitingApply { get; } = [];

    public Seen Seen { get; set; }

    /// <summary>Its own clock: some run fast.</summary>
    public long LocalTime(long time) => time * clockPercent / 100 + (long)id.Value * 1_000;
}

/// <param name="Sequence">Of a write; 0: a read.</param>
/// <param name="Floor">The newest answer that anybody had when this was first asked.</param>
internal sealed record Request(long Id, int Client, long Sequence, int Key, long Floor, int Attempt);
