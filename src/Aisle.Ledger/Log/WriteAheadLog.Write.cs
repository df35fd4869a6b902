using System.Buffers;
using System.Runtime.InteropServices;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>The flushing side.</summary>
internal sealed partial class WriteAheadLog
{
    // Zeros are written ahead of the frames: then most flushes need not change the file's length, which costs a second write on most file systems.
    private const int LeastFill = 64 << 10, MostFill = 1 << 20;

    private static readonly byte[] Zeros = new byte[MostFill];

    private readonly ArrayBufferWriter<byte> _frame = new(64 << 10);
    private readonly List<(long Number, long LastBefore)> _segments;
    private ILedgerFile _file;
    private long _end;          // where the next frame goes
    private long _filledTo;     // file length: zeros from _end to here
    private LogFrame _durable;  // what the disk says, as a seal
    private bool _sealed;

    /// <summary>Bytes of header and frames in the segment that is being written.</summary>
    public long SegmentBytes => _end;

    /// <summary>Makes everything appended so far last.</summary>
    /// <returns>The newest entry that lasts, so that a late completion cannot count for an entry that took its place.</returns>
    /// <exception cref="IOException">Final: nothing is written by this log any more, and what was appended may be there or not.</exception>
    public LogPosition Flush()
    {
        LogFrame frame;
        var entries = new List<Entry>();
        lock (_gate)
        {
            ThrowIfFailed();
            if (_pendingFrom == long.MaxValue && !_pendingState) return _durable.Last;
            var first = Math.Min(_pendingFrom, _last.Index + 1);
            for (var index = first; index <= _last.Index; index++) entries.Add(_index[index].Cached!);
            var kinds = _pendingReset ? FrameKinds.Reset | FrameKinds.Truncates : first <= _durable.Last.Index ? FrameKinds.Truncates : FrameKinds.Batch;
            frame = _durable with { Kinds = kinds, Number = _durable.Number + 1, Hard = _hard, First = first, Last = _last, Mark = _mark };
            if (frame.Is(FrameKinds.Truncates)) frame = frame with { Cuts = frame.Cuts + 1, CutAt = first - 1 };
            (_pendingFrom, _pendingState, _pendingReset) = (long.MaxValue, false, false);
        }
        Guard(() => WriteBatch(frame, entries));
        return frame.Last;
    }

    /// <summary>Notes that the newest batch was flushed. It only sharpens what recovery can tell, so it needs no flush of its own, and no room either.</summary>
    public void Seal()
    {
        lock (_gate) ThrowIfFailed();
        if (_sealed || _end + LogFrame.HeadBytes > _filledTo) return;
        Guard(() => WriteSeal(FrameKinds.Seal));
    }

    /// <summary>Gives damaged entries back, as peers have them. Lasts when it returns.</summary>
    /// <param name="entries">Without a gap, each in <see cref="Damaged"/>.</param>
    public void Repair(IReadOnlyList<Entry> entries)
    {
        if (entries.Count == 0) return;
        Flush();
        lock (_gate)
        {
            for (var i = 0; i < entries.Count; i++)
            {
                var entry = entries[i];
                if (entry.Index != entries[0].Index + i || !_damaged.Exists(damage => damage.FirstIndex <= entry.Index && entry.Index <= damage.LastIndex))
                {
                    throw new ArgumentException($"{entry.Position} is not damaged, or leaves a gap.", nameof(entries));
                }
                var before = i > 0 ? entries[i - 1].Term : TermAt(entry.Index - 1) ?? 0;
                var after = i + 1 < entries.Count ? entries[i + 1].Term : TermAt(entry.Index + 1) ?? long.MaxValue;
                if (entry.Term < Math.Max(1, before) || entry.Term > after || (entry.Index == _last.Index && _last.Term > 0 && entry.Term != _last.Term))
                {
                    throw new ArgumentException($"{entry.Position} does not fit between its neighbours.", nameof(entries));
                }
            }
        }
        var frame = _durable with { Kinds = FrameKinds.Repair, Number = _durable.Number + 1, First = entries[0].Index };
        Guard(() => WriteBatch(frame, entries));
        lock (_gate)
        {
            Undamage(entries[0].Index, entries[^1].Index);
            if (_last.Term == 0 && entries[^1].Index == _last.Index) _last = entries[^1].Position;
        }
    }

    /// <summary>Notes a snapshot that is whole on the disk. Where the log does not reach it, or has another entry in its place, the log is emptied and goes on
    /// behind it; else it is kept until <see cref="CutThrough"/>. Lasts when it returns.</summary>
    public void Mark(LogPosition snapshot)
    {
        do Flush();
        while (!TryMark(snapshot));
        Flush();
    }

    private bool TryMark(LogPosition snapshot)
    {
        lock (_gate)
        {
            if (snapshot.Index <= _mark.Index) return true;
            if (_pendingFrom <= snapshot.Index) return false;   // appended meanwhile
            (_mark, _pendingState) = (snapshot, true);
            if (!KeepsSuffix(snapshot))
            {
                _index.Reset(snapshot);
                (_last, _pendingFrom, _pendingReset) = (snapshot, long.MaxValue, true);
                (_cachedFrom, _cachedBytes) = (snapshot.Index + 1, 0);
                _damaged.Clear();
            }
            else if (_damaged.Exists(damage => damage.FirstIndex <= snapshot.Index))
            {
                // Damage that the snapshot covers is none any more, and what cannot be read is not kept.
                Uncache(snapshot.Index);
                _index.CutThrough(snapshot);
                Undamage(0, snapshot.Index);
            }
            return true;
        }
    }

    // A damaged entry has no term to compare. Its follower has: were the damaged one another than the snapshot's, the follower's leader had not known the
    // snapshot's entry, and so was elected before it was committed, in an earlier term.
    private bool KeepsSuffix(LogPosition snapshot)
    {
        if (snapshot.Index > _last.Index || snapshot.Index < _index.Base.Index) return false;
        if (TermAt(snapshot.Index) is { } term) return term == snapshot.Term;
        return TermAt(snapshot.Index + 1) is { } next && next >= snapshot.Term;
    }

    /// <summary>Goes on in a new segment. Flushes first.</summary>
    public void Roll()
    {
        Flush();
        Guard(BeginSegment);
    }

    /// <summary>Deletes the segments that hold nothing newer than <paramref name="index"/>, which a snapshot must cover. The one being written stays.</summary>
    public void CutThrough(long index)
    {
        if (index > Marked.Index) throw new ArgumentOutOfRangeException(nameof(index), index, $"No snapshot covers entries after {Marked.Index}.");
        var cut = 0;
        while (cut + 1 < _segments.Count && _segments[cut + 1].LastBefore <= index) cut++;
        if (cut == 0) return;
        Guard(() =>
        {
            // Oldest first: whatever a crash leaves has no gap.
            for (var i = 0; i < cut; i++) _disk.Delete(LogSegment.NameOf(_segments[i].Number));
            _disk.FlushDirectory();
        });
        lock (_gate)
        {
            var through = _segments[cut].LastBefore;
            Uncache(through);
            if (_index.Contains(through)) _index.CutThrough(PositionAt(through));
        }
        _segments.RemoveRange(0, cut);
    }

    private void WriteBatch(LogFrame frame, IReadOnlyList<Entry> entries)
    {
        _frame.ResetWrittenCount();
        _frame.GetSpan(LogFrame.HeadBytes)[..LogFrame.HeadBytes].Clear();
        _frame.Advance(LogFrame.HeadBytes);
        var places = new int[entries.Count];
        for (var i = 0; i < places.Length; i++)
        {
            places[i] = _frame.WrittenCount;
            EntryCodec.Write(entries[i], _frame);
        }
        frame = frame with { Count = entries.Count, BodyBytes = _frame.WrittenCount - LogFrame.HeadBytes };
        if (frame.BodyBytes > 0)
        {
            LogFrame.WriteEnd(_frame.GetSpan(LogFrame.TailBytes));
            _frame.Advance(LogFrame.TailBytes);
        }
        if (_end + _frame.WrittenCount > _options.SegmentBytes && _end > LogSegment.HeaderBytes + LogFrame.HeadBytes) BeginSegment();
        var at = _end;
        // The buffer is this log's own, so its written part may be completed in place.
        var bytes = MemoryMarshal.AsMemory(_frame.WrittenMemory).Span;
        frame.WriteHead(bytes, _segments[^1].Number, at);
        Write(bytes);
        _file.Flush();
        (_durable, _sealed) = (frame with { Kinds = FrameKinds.Seal, Count = 0, BodyBytes = 0 }, false);
        lock (_gate)
        {
            for (var i = 0; i < places.Length; i++)
            {
                // Meanwhile it may have been truncated, and another one taken its place.
                if (!_index.Contains(entries[i].Index)) continue;
                ref var slot = ref _index[entries[i].Index];
                if (!ReferenceEquals(slot.Cached, entries[i]) && (slot.Term != 0 || !frame.Is(FrameKinds.Repair))) continue;
                slot = new EntryIndex.Slot { Term = entries[i].Term, Cached = slot.Cached, Segment = _segments[^1].Number, Offset = at + places[i], Bytes = EntryCodec.SizeOf(entries[i]) };
            }
            Evict();
        }
    }

    /// <summary>Forgets the oldest payloads in memory, once they are on the disk, down to the bound.</summary>
    private void Evict()
    {
        var written = Math.Min(_durable.Last.Index, _pendingFrom - 1);
        while (_cachedBytes > _options.CacheBytes && _cachedFrom <= written) Uncache(_cachedFrom);
    }

    private void Uncache(long through)
    {
        for (; _cachedFrom <= through && _cachedFrom <= _index.Last; _cachedFrom++)
        {
            ref var slot = ref _index[_cachedFrom];
            if (slot.Cached is not null) _cachedBytes -= slot.Bytes;
            slot.Cached = null;
        }
    }

    /// <summary>The new segment is there and lasts before the old one says so.</summary>
    private void BeginSegment()
    {
        var number = _segments[^1].Number + 1;
        var (file, filledTo) = Create(_disk, number, _durable);
        try
        {
            WriteSeal(FrameKinds.Seal | FrameKinds.Continued);
            _file.Flush();
        }
        catch
        {
            file.Dispose();
            throw;
        }
        _file.Dispose();
        (_file, _end, _filledTo, _sealed) = (file, LogSegment.HeaderBytes + LogFrame.HeadBytes, filledTo, true);
        _segments.Add((number, _durable.Last.Index));
    }

    private void WriteSeal(FrameKinds kinds)
    {
        var seal = new byte[LogFrame.HeadBytes];
        (_durable with { Kinds = kinds, First = _durable.Last.Index + 1 }).WriteHead(seal, _segments[^1].Number, _end);
        Write(seal);
        _sealed = true;
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        while (_end + bytes.Length > _filledTo)
        {
            var fill = (int)Math.Clamp(_end / 2 / LeastFill * LeastFill, LeastFill, MostFill);
            _file.Write(Zeros.AsSpan(0, fill), _filledTo);
            _filledTo += fill;
        }
        _file.Write(bytes, _end);
        _end += bytes.Length;
    }

    private void Guard(Action work)
    {
        lock (_gate) ThrowIfFailed();
        try
        {
            work();
        }
        // Whatever it is, the next write could build on one that never reached the disk.
        catch (Exception e)
        {
            var failure = e as IOException ?? new IOException(e.Message, e);
            lock (_gate) _failure ??= failure;
            if (failure == e) throw;
            throw failure;
        }
    }
}
