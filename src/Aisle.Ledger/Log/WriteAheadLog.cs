using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>
/// One member's log on one disk: hard state, entries and what snapshots cover. Knows no command and no state.
/// <para><see cref="Append"/> only collects; <see cref="Flush"/> makes everything appended so far last, by one write and one flush. So appending and reading may
/// stay on the loop that must never wait for a disk, and flushing may run on another, one call at a time. Everything else belongs to the flushing side.</para>
/// <para>The first failed write or flush is final: every later call fails. A second flush could claim what the first one lost.</para>
/// </summary>
internal sealed partial class WriteAheadLog : IDisposable
{
    private readonly ILedgerDisk _disk;
    private readonly LogOptions _options;
    private readonly Lock _gate = new();   // guards what is read and appended; never held while a disk works
    private readonly EntryIndex _index;
    private readonly List<LogDamage> _damaged;
    private HardState _hard;
    private LogPosition _last, _mark;
    private long _pendingFrom = long.MaxValue;   // entries from here on are not written
    private bool _pendingState, _pendingReset;   // hard state or mark are not written; the log was emptied
    private long _cachedFrom;                    // entries before it are on the disk only
    private long _cachedBytes;
    private IOException? _failure;

    private WriteAheadLog(ILedgerDisk disk, LogOptions options, LogRecovery found)
    {
        (_disk, _options) = (disk, options);
        (_index, _damaged, _hard, _last, _mark) = (found.Index, found.Damaged, found.Hard, found.Last, found.Mark);
        (_segments, _end, _cachedFrom, TornBytes) = (found.Segments, found.End, _last.Index + 1, found.TornBytes);
        _durable = new LogFrame { Kinds = FrameKinds.Seal, Number = found.Number, Hard = _hard, First = _last.Index + 1, Last = _last, Mark = _mark, Cuts = found.Cuts, CutAt = found.CutAt };
        (_file, _filledTo) = OpenNewest();
    }

    public HardState HardState
    {
        get { lock (_gate) return _hard; }
    }

    /// <summary>What stands before the first entry that is still here.</summary>
    public LogPosition Base
    {
        get { lock (_gate) return _index.Base; }
    }

    /// <summary>The newest entry, flushed or not; <see cref="Base"/> when there is none. Known even where the entry itself is damaged.</summary>
    public LogPosition Last
    {
        get { lock (_gate) return _last; }
    }

    /// <summary>The newest snapshot that the log knows of.</summary>
    public LogPosition Marked
    {
        get { lock (_gate) return _mark; }
    }

    /// <summary>Bytes that a torn write had left at the end and that opening cut.</summary>
    public long TornBytes { get; }

    /// <summary>Entries to be fetched from peers and given to <see cref="Repair"/>, in order of index. While there are any, this member must not vote, nor
    /// acknowledge or deny them. They also go when they are truncated, or covered by a snapshot.</summary>
    public IReadOnlyList<LogDamage> Damaged
    {
        get { lock (_gate) return [.. _damaged]; }
    }

    /// <summary>Nothing of it lasts before <see cref="Flush"/>.</summary>
    /// <param name="hardState">New term and vote, or null when they stay.</param>
    /// <param name="truncateFrom">First index that is dropped, or null. Nothing up to <see cref="Marked"/> can be.</param>
    /// <param name="entries">They follow what stays, without a gap. Their payloads must not change any more.</param>
    public void Append(HardState? hardState, long? truncateFrom, IReadOnlyList<Entry> entries)
    {
        lock (_gate)
        {
            ThrowIfFailed();
            if (hardState is { } hard && hard != _hard)
            {
                if (hard.Term < _hard.Term) throw new ArgumentException($"Term {hard.Term} is older than {_hard.Term}.", nameof(hardState));
                (_hard, _pendingState) = (hard, true);
            }
            if (truncateFrom is { } from && from <= _last.Index)
            {
                if (from <= Math.Max(_mark.Index, _index.Base.Index)) throw new ArgumentOutOfRangeException(nameof(truncateFrom), from, $"A snapshot covers entries up to {_mark.Index}.");
                for (var index = Math.Max(from, _cachedFrom); index <= _last.Index; index++) _cachedBytes -= _index[index].Cached is null ? 0 : _index[index].Bytes;
                _index.KeepThrough(from - 1);
                _last = PositionAt(from - 1);
                _pendingFrom = Math.Min(_pendingFrom, from);
                _cachedFrom = Math.Min(_cachedFrom, from);
                Undamage(from, long.MaxValue);
            }
            foreach (var entry in entries)
            {
                if (entry.Index != _last.Index + 1 || entry.Term < _last.Term || entry.Term < 1) throw new ArgumentException($"{entry.Position} does not follow {_last}.", nameof(entries));
                if (entry.Payload.Length > EntryCodec.MaxPayloadBytes) throw new ArgumentException($"{entry.Position} has {entry.Payload.Length} bytes; {EntryCodec.MaxPayloadBytes} is the most.", nameof(entries));
                _index.Add(new EntryIndex.Slot { Term = entry.Term, Cached = entry, Bytes = EntryCodec.SizeOf(entry) });
                _cachedBytes += EntryCodec.SizeOf(entry);
                _last = entry.Position;
                _pendingFrom = Math.Min(_pendingFrom, entry.Index);
            }
        }
    }

    /// <summary>The term of an entry, or of what stands before the first one. Null where it is not known: cut away, not there yet, or damaged.</summary>
    public long? TermAt(long index)
    {
        lock (_gate)
        {
            if (index == _last.Index) return _last.Term > 0 || index == 0 ? _last.Term : null;
            if (index == _index.Base.Index) return _index.Base.Term;
            return _index.Contains(index) && _index[index].Term is > 0 and var term ? term : null;
        }
    }

    private LogPosition PositionAt(long index) => index == _index.Base.Index ? _index.Base : new LogPosition(_index[index].Term, index);

    private void Undamage(long from, long through)
    {
        for (var i = _damaged.Count - 1; i >= 0; i--)
        {
            var damage = _damaged[i];
            if (damage.LastIndex < from || damage.FirstIndex > through) continue;
            _damaged.RemoveAt(i);
            if (damage.LastIndex > through) _damaged.Insert(i, damage with { FirstIndex = through + 1 });
            if (damage.FirstIndex < from) _damaged.Insert(i, damage with { LastIndex = from - 1 });
        }
    }

    private void ThrowIfFailed()
    {
        if (_failure is { } failure) throw new IOException($"The log failed before: {failure.Message}", failure);
    }

    public void Dispose()
    {
        _file.Dispose();
        lock (_reading) _old?.File.Dispose();
    }
}
