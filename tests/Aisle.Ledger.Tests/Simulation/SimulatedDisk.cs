using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Simulation;

internal sealed record SimulatedSnapshot(LogPosition Position, Membership Members, byte[] State);

/// <summary>What of a member survives a crash: what was flushed, and of what was not, as much as chance leaves.</summary>
internal sealed class SimulatedDisk(Membership first)
{
    private readonly Queue<Persist> _unflushed = [];
    private readonly List<Entry> _log = [];

    public HardState State { get; private set; }

    /// <summary>The entry before the first of the log.</summary>
    public LogPosition Base { get; private set; }

    public SimulatedSnapshot Snapshot { get; set; } = new(default, first, new SimulatedState().ToBytes());

    public IReadOnlyList<Entry> Log => _log;

    public long LastIndex => Base.Index + _log.Count;

    /// <summary>A known bug: the vote is kept in memory only.</summary>
    public bool LosesVotes { get; init; }

    public void Write(Persist persist) => _unflushed.Enqueue(persist);

    /// <summary>The oldest write reaches the disk.</summary>
    public void Flush() => Keep(_unflushed.Dequeue(), int.MaxValue);

    /// <summary>Some of the writes that were not flushed are there all the same, the last of them torn.</summary>
    public void Crash(Chance chance)
    {
        var whole = chance.Next(_unflushed.Count + 1);
        for (var i = 0; i < whole; i++) Flush();
        if (_unflushed.Count > 0 && chance.Percent(50)) Keep(_unflushed.Dequeue(), chance.Next(4));
        _unflushed.Clear();
    }

    /// <summary>Segments that the snapshot covers are deleted.</summary>
    public void Cut(long through)
    {
        if (through <= Base.Index || through > LastIndex) return;
        var gone = (int)(through - Base.Index);
        Base = _log[gone - 1].Position;
        _log.RemoveRange(0, gone);
    }

    public bool Has(LogPosition position) => position.Index <= Snapshot.Position.Index || position.Index <= Base.Index
        || position.Index <= LastIndex && _log[(int)(position.Index - Base.Index - 1)].Term == position.Term;

    public IReadOnlyList<Entry> Read(long from, long through) => _log.GetRange((int)(from - Base.Index - 1), (int)(through - from + 1));

    private void Keep(Persist persist, int parts)
    {
        if (parts == 0) return;
        if (persist.State is { } state) State = LosesVotes ? state with { Vote = MemberId.Nobody } : state;
        if (parts == 1) return;
        if (persist.Base is { } @base)
        {
            _log.RemoveRange(0, (int)Math.Clamp(@base.Index - Base.Index, 0, _log.Count));
            if (@base.Index > Base.Index) Base = @base;
        }
        if (persist.TruncateFrom > 0 && persist.TruncateFrom <= LastIndex)
        {
            var keep = (int)Math.Max(0, persist.TruncateFrom - Base.Index - 1);
            _log.RemoveRange(keep, _log.Count - keep);
        }
        foreach (var entry in persist.Entries)
        {
            if (parts-- == 2) return;
            if (entry.Index <= Base.Index) continue;   // cut meanwhile
            if (entry.Index != LastIndex + 1) throw new BrokenPromiseException($"entry {entry.Index} is written after entry {LastIndex}");
            _log.Add(entry);
        }
    }
}
