using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>Entries that were flushed and whose bytes are no longer what was written.</summary>
/// <param name="File">Path, for people.</param>
/// <param name="Offset">First bad byte, as near as it is known.</param>
internal sealed record LogDamage(string File, long Offset, long FirstIndex, long LastIndex);

/// <summary>
/// Reads a log back. Two kinds of bad bytes are told apart by proof, never by guess. Where anything later proves that the bad ones had been flushed (a frame
/// of the next number, a seal, another segment), or where all their sectors had arrived, they are damage: the entries they held are listed, and stay places
/// to be filled. Else a crash tore them while they were being written, nobody was promised them, and they are cut.
/// </summary>
internal sealed class LogRecovery
{
    private readonly ILedgerDisk _disk;
    private readonly List<LogDamage> _noted = [];
    private readonly Dictionary<long, EntryIndex.Slot> _repairedEarly = [];   // entries of segments that are gone
    private bool _started;
    private bool _continued;      // the newest frame says that another segment exists

    private LogRecovery(ILedgerDisk disk) => _disk = disk;

    public EntryIndex Index { get; } = new();

    public HardState Hard { get; private set; }

    public LogPosition Last { get; private set; }

    public LogPosition Mark { get; private set; }

    public long Number { get; private set; }

    public uint Cuts { get; private set; }

    public long CutAt { get; private set; }

    /// <summary>The segments, oldest first, each with where the log ended when it began.</summary>
    public List<(long Number, long LastBefore)> Segments { get; } = [];

    /// <summary>Where the whole frames of the newest segment end.</summary>
    public long End { get; private set; }

    public long TornBytes { get; private set; }

    public List<LogDamage> Damaged { get; } = [];

    /// <exception cref="LedgerDamagedException">Not even the hard state can be told, so that this member could vote twice in one term.</exception>
    /// <exception cref="AisleException">AISLE-2055: a format that this program does not know.</exception>
    public static LogRecovery Run(ILedgerDisk disk)
    {
        var recovery = new LogRecovery(disk);
        var segments = LogSegment.List(disk).ToList();
        if (segments.Count == 0) throw new LedgerDamagedException(disk.PathOf(LogSegment.NameOf(1)), 0, "the log is missing, and this directory had one");
        var newest = disk.ReadAll(LogSegment.NameOf(segments[^1]));
        LogSegment.CheckHeader(newest, disk.PathOf(LogSegment.NameOf(segments[^1])));
        // A newest segment without a frame: the crash came while it was being made, and nothing was in it. The mark in the one before it says otherwise.
        var unborn = segments.Count > 1 && LogFrame.Find(newest, segments[^1], LogSegment.HeaderBytes, out _) < 0;
        for (var i = 0; i < segments.Count - (unborn ? 1 : 0); i++)
        {
            var last = i == segments.Count - (unborn ? 2 : 1);
            recovery.ReadSegment(segments[i], last && !unborn ? newest : disk.ReadAll(LogSegment.NameOf(segments[i])), last, flushed: i < segments.Count - 1);
        }
        if (recovery._continued)
        {
            throw new LedgerDamagedException(disk.PathOf(LogSegment.NameOf(recovery.Segments[^1].Number + 1)), 0,
                "it is missing or empty, and the segment before it says that it was there; what this member voted for cannot be told");
        }
        if (unborn) disk.Delete(LogSegment.NameOf(segments[^1]));
        recovery.Settle();
        return recovery;
    }

    /// <param name="flushed">A newer segment exists, so all of this one had been flushed.</param>
    private void ReadSegment(long segment, ReadOnlyMemory<byte> memory, bool last, bool flushed)
    {
        var bytes = memory.Span;
        var path = _disk.PathOf(LogSegment.NameOf(segment));
        LogSegment.CheckHeader(bytes, path);
        if (!_started && segment == 1) _started = true;   // it begins with nothing
        var lastBefore = -1L;
        var end = LogSegment.HeaderBytes;
        int at;
        while ((at = LogFrame.Find(bytes, segment, end, out var frame)) >= 0)
        {
            var whole = IsWhole(memory[at..], frame);
            if (!whole && !flushed && !IsProvenAfter(bytes, segment, at + frame.SizeBytes, frame.Number) && LogFrame.IsTorn(bytes, at, frame.SizeBytes)) break;
            if (_started && (frame.IsSeal ? frame.Number < Number : frame.Number <= Number))
            {
                throw new LedgerDamagedException(path, at, $"batch {frame.Number} stands after batch {Number}");
            }
            if (!_started || frame.Proves > Number) NoteGap(path, end, frame);
            if (lastBefore < 0) lastBefore = frame.IsSeal ? frame.Last.Index : Last.Index;
            Take(path, segment, at, memory, frame);
            end = Math.Min(at + frame.SizeBytes, bytes.Length);
        }
        if (lastBefore < 0) lastBefore = Last.Index;
        Segments.Add((segment, lastBefore));
        if (!last) return;
        End = end;
        var rest = bytes[end..];
        if (!rest.ContainsAnyExcept((byte)0)) return;
        if (at < 0 && !LogFrame.IsTorn(bytes, end, LogFrame.HeadBytes))
        {
            throw new LedgerDamagedException(path, end, "its bytes are not those of a batch, they had all been written, and what this member voted for may have stood there");
        }
        TornBytes = rest.LastIndexOfAnyExcept((byte)0) + 1;
    }

    private static bool IsProvenAfter(ReadOnlySpan<byte> bytes, long segment, int from, long number)
    {
        while ((from = LogFrame.Find(bytes, segment, from, out var later)) >= 0)
        {
            if (later.Proves >= number) return true;
            from += LogFrame.HeadBytes;
        }
        return false;
    }

    private static bool IsWhole(ReadOnlyMemory<byte> bytes, LogFrame frame)
    {
        if (frame.BodyBytes == 0) return true;
        if (frame.SizeBytes > bytes.Length || !LogFrame.HasEnd(bytes.Span, LogFrame.HeadBytes + frame.BodyBytes)) return false;
        var body = bytes.Span.Slice(LogFrame.HeadBytes, frame.BodyBytes);
        for (var k = 0; k < frame.Count; k++)
        {
            if (!EntryCodec.TryMeasure(body, out _, out var index, out var size) || index != frame.First + k || !EntryCodec.IsWhole(body[..size])) return false;
            body = body[size..];
        }
        return body.IsEmpty;
    }

    /// <summary>One or more batches before <paramref name="frame"/> are gone. It tells where the log ended then and whether they had truncated anything.</summary>
    private void NoteGap(string path, long offset, LogFrame frame)
    {
        var ended = frame.IsSeal || frame.Is(FrameKinds.Repair) || frame.Is(FrameKinds.Reset) ? frame.Last.Index : frame.First - 1;
        if (!_started)
        {
            // The oldest segment that is left: what stands before it is covered by the snapshot, or it is missing.
            _started = true;
            Index.Reset(frame.IsSeal ? frame.Last : new LogPosition(0, ended));
        }
        else
        {
            var cuts = frame.Cuts - (frame.Is(FrameKinds.Truncates) ? 1u : 0u);
            var kept = cuts == Cuts ? Last.Index
                : cuts == Cuts + 1 && !frame.Is(FrameKinds.Truncates) ? Math.Min(Last.Index, frame.CutAt)
                : Math.Min(Last.Index, Math.Max(frame.Mark.Index, Index.Base.Index));
            Index.KeepThrough(kept);
        }
        var first = Index.Last + 1;
        while (Index.Last < ended) Index.Add(default);
        if (first <= ended) _noted.Add(new LogDamage(path, offset, first, ended));
        Last = new LogPosition(0, Index.Last);
    }

    private void Take(string path, long segment, int at, ReadOnlyMemory<byte> memory, LogFrame frame)
    {
        if (frame.Is(FrameKinds.Reset))
        {
            Index.Reset(frame.Mark);
        }
        else if (!frame.IsSeal && !frame.Is(FrameKinds.Repair))
        {
            var kept = frame.First - 1;
            if (kept > Index.Last) throw new LedgerDamagedException(path, at, $"it goes on from entry {kept}, and the log before it ends with {Index.Last}");
            // Below the oldest segment that is left: a snapshot has come to cover it since.
            if (kept < Index.Base.Index) Index.Reset(new LogPosition(0, kept));
            Index.KeepThrough(kept);
        }
        TakeEntries(path, segment, at, memory, frame);
        if (Index.Last != frame.Last.Index) throw new LedgerDamagedException(path, at, $"the log before it ends with entry {Index.Last}, and it says {frame.Last.Index}");
        (Hard, Last, Mark, Cuts, CutAt) = (frame.Hard, frame.Last, frame.Mark, frame.Cuts, frame.CutAt);
        Number = Math.Max(Number, frame.Number);
        _continued = frame.Is(FrameKinds.Continued);
    }

    private void TakeEntries(string path, long segment, int at, ReadOnlyMemory<byte> memory, LogFrame frame)
    {
        var bodyAt = at + LogFrame.HeadBytes;
        var body = bodyAt < memory.Length ? memory.Slice(bodyAt, Math.Min(frame.BodyBytes, memory.Length - bodyAt)) : default;
        for (var k = 0; k < frame.Count; k++)
        {
            var slot = default(EntryIndex.Slot);
            var index = frame.First + k;
            var recordAt = bodyAt;
            // The place of an entry whose content is bad is still known if its length is; if that is bad too, so is all behind it.
            if (EntryCodec.TryMeasure(body.Span, out var term, out var written, out var size) && written == index)
            {
                if (EntryCodec.IsWhole(body.Span[..size])) slot = new EntryIndex.Slot { Term = term, Segment = segment, Offset = recordAt, Bytes = size };
                (body, bodyAt) = (body[size..], bodyAt + size);
            }
            else
            {
                body = default;
            }
            if (!frame.Is(FrameKinds.Repair)) Index.Add(slot);
            else if (slot.Term > 0 && Index.Contains(index)) Index[index] = slot;
            else if (slot.Term > 0) _repairedEarly[index] = slot;
            if (slot.Term == 0) _noted.Add(new LogDamage(path, recordAt, index, index));
        }
    }

    /// <summary>What a snapshot covers needs no repair, and what was repaired or truncated since is none any more.</summary>
    private void Settle()
    {
        if (Mark.Index > Index.Last) Index.Reset(Last = Mark);
        var whole = Mark.Index;
        while (whole > Index.Base.Index && Index[whole].Term != 0) whole--;
        if (whole > Index.Base.Index || (Index.Base is { Term: 0, Index: > 0 } && Mark.Index >= Index.Base.Index)) Index.CutThrough(Mark);
        if (Index.Base.Index > Mark.Index)
        {
            _noted.Add(new LogDamage(_disk.PathOf(LogSegment.NameOf(Math.Max(1, Segments[0].Number - 1))), 0, Mark.Index + 1, Index.Base.Index));
            Index.Precede(Mark);
            foreach (var (index, slot) in _repairedEarly)
            {
                if (Index.Contains(index) && Index[index].Term == 0) Index[index] = slot;
            }
        }
        for (var index = Index.Base.Index + 1; index <= Index.Last; index++)
        {
            if (Index[index].Term != 0) continue;
            var first = index;
            while (index < Index.Last && Index[index + 1].Term == 0) index++;
            var cause = _noted.FindLast(noted => noted.FirstIndex <= first && first <= noted.LastIndex);
            Damaged.Add(new LogDamage(cause?.File ?? _disk.Place, cause?.Offset ?? 0, first, index));
        }
    }
}
