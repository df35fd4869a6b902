using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Aisle.Ledger.Consensus;

/// <summary>Reads entries <paramref name="from"/> to <paramref name="through"/> back from the disk: all of them, or an exception (Rule 12).</summary>
internal delegate IReadOnlyList<Entry> EntryReader(long from, long through);

/// <summary>The log as the core sees it: the term of every entry, the newest entries themselves, and a way to the older ones.</summary>
internal sealed class LogView
{
    private readonly EntryReader _reader;
    private readonly List<(long First, long Term)> _runs = [];   // entries of one term follow each other: a handful of numbers tells all terms
    private readonly List<Entry> _tail = [];                     // the newest entries, without a gap to the last
    private long _tailBytes;

    public LogView(LogPosition @base, EntryReader reader)
    {
        (Base, Last) = (@base, @base);
        _reader = reader;
    }

    /// <summary>The entry before the first one here; what is up to it is in a snapshot.</summary>
    public LogPosition Base { get; private set; }

    public LogPosition Last { get; private set; }

    private long TailFirst => Last.Index - _tail.Count + 1;

    /// <summary>Term of the entry at <paramref name="index"/>; -1 when it is not known, since it is not here yet or not here any more.</summary>
    public long TermAt(long index)
    {
        if (index > Last.Index || index < Base.Index) return -1;
        if (index == Last.Index) return Last.Term;
        for (var i = _runs.Count - 1; i >= 0; i--)
        {
            if (_runs[i].First <= index) return _runs[i].Term;
        }
        return Base.Term;
    }

    public bool Has(LogPosition position) => TermAt(position.Index) == position.Term;

    public void Append(Entry entry)
    {
        if (entry.Index != Last.Index + 1 || entry.Term < Last.Term)
        {
            throw new ArgumentException($"Entry {entry.Index} of term {entry.Term} does not follow entry {Last.Index} of term {Last.Term}.");
        }
        if (entry.Term != Last.Term || _runs.Count == 0) _runs.Add((entry.Index, entry.Term));
        _tail.Add(entry);
        _tailBytes += entry.Payload.Length;
        Last = entry.Position;
    }

    public void TruncateFrom(long index)
    {
        if (index <= Base.Index) throw new ArgumentException($"Entry {index} is in a snapshot, which ends at {Base.Index}.");
        Last = new(TermAt(index - 1), index - 1);
        while (_runs.Count > 0 && _runs[^1].First >= index) _runs.RemoveAt(_runs.Count - 1);
        while (_tail.Count > 0 && _tail[^1].Index >= index)
        {
            _tailBytes -= _tail[^1].Payload.Length;
            _tail.RemoveAt(_tail.Count - 1);
        }
    }

    /// <summary>Entries up to <paramref name="index"/> are not needed any more.</summary>
    public void CompactThrough(long index)
    {
        if (index <= Base.Index) return;
        Base = new(TermAt(index), index);
        var gone = 0;
        while (gone + 1 < _runs.Count && _runs[gone + 1].First <= index) gone++;
        _runs.RemoveRange(0, gone);
        Drop(index);
    }

    /// <summary>The log goes on after <paramref name="snapshot"/> with nothing.</summary>
    public void Reset(LogPosition snapshot)
    {
        (Base, Last, _tailBytes) = (snapshot, snapshot, 0);
        _runs.Clear();
        _tail.Clear();
    }

    /// <summary>Keeps about <paramref name="bytes"/> of the entries up to <paramref name="index"/>, which can be read back, in memory.</summary>
    public void Trim(long index, long bytes)
    {
        if (_tailBytes <= 2 * bytes) return;   // by halves: dropping from the front moves the rest
        var (excess, through) = (_tailBytes - bytes, TailFirst - 1);
        foreach (var entry in _tail)
        {
            if (excess <= 0 || entry.Index > index) break;
            excess -= entry.Payload.Length;
            through = entry.Index;
        }
        Drop(through);
    }

    /// <summary>Entries from <paramref name="from"/> on, at least one, up to <paramref name="through"/> or about <paramref name="maxBytes"/>.</summary>
    public ImmutableArray<Entry> Slice(long from, long through, int maxBytes)
    {
        if (from > through) return [];
        var source = from >= TailFirst
            ? CollectionsMarshal.AsSpan(_tail)[(int)(from - TailFirst)..(int)(through - TailFirst + 1)]
            : ReadBack(from, Math.Min(through, TailFirst - 1));
        var (count, bytes) = (0, 0L);
        while (count < source.Length && (count == 0 || bytes + source[count].Payload.Length <= maxBytes)) bytes += source[count++].Payload.Length;
        return [.. source[..count]];
    }

    /// <summary>The last entry up to <paramref name="position"/>'s index that may be equal to the one of a log in which that position stands: a later one has a
    /// higher term than that log had there. Each answer skips a whole term (Rule 12).</summary>
    public LogPosition LastPossible(LogPosition position)
    {
        var index = Math.Min(position.Index, Last.Index);
        while (index > Base.Index && TermAt(index) > position.Term)
        {
            var run = _runs.Count - 1;
            while (_runs[run].First > index) run--;
            index = Math.Max(_runs[run].First - 1, Base.Index);
        }
        return index < Base.Index || TermAt(index) > position.Term ? default : new(TermAt(index), index);   // nothing here: it needs the snapshot
    }

    private ReadOnlySpan<Entry> ReadBack(long from, long through)
    {
        const int AtOnce = 256;
        through = Math.Min(through, from + AtOnce - 1);
        var entries = _reader(from, through);
        return entries.Count == through - from + 1 && entries[0].Index == from && Has(entries[0].Position) && Has(entries[^1].Position)
            ? entries.ToArray()
            : throw new InvalidOperationException($"The log gave {entries.Count} entries for {from} to {through}, or others than it was given.");
    }

    private void Drop(long through)
    {
        var count = (int)Math.Clamp(through - TailFirst + 1, 0, _tail.Count);
        for (var i = 0; i < count; i++) _tailBytes -= _tail[i].Payload.Length;
        _tail.RemoveRange(0, count);
    }
}
