using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>Where each entry of the log stands. Not thread-safe.</summary>
internal sealed class EntryIndex
{
    /// <summary>40 bytes an entry. <c>Term</c> 0: the entry is damaged. <c>Segment</c> 0: not written yet. <c>Cached</c>: the newest ones are in memory too.</summary>
    public struct Slot
    {
        public long Term;
        public Entry? Cached;
        public long Segment;
        public long Offset;
        public int Bytes;
    }

    private Slot[] _slots = new Slot[64];
    private int _start, _count;

    /// <summary>What stands before the first entry; its term is known.</summary>
    public LogPosition Base { get; private set; }

    public long Last => Base.Index + _count;

    public bool Contains(long index) => index > Base.Index && index <= Last;

    public ref Slot this[long index] => ref _slots[_start + (int)(index - Base.Index - 1)];

    public void Reset(LogPosition before)
    {
        (Base, _start, _count) = (before, 0, 0);
        _slots = new Slot[64];
    }

    public void Add(Slot slot)
    {
        if (_start + _count == _slots.Length)
        {
            // Moved down when half is free, else doubled: each entry is moved a bounded number of times.
            var to = _start > _slots.Length / 2 ? _slots : new Slot[_slots.Length * 2];
            Array.Copy(_slots, _start, to, 0, _count);
            if (to == _slots) Array.Clear(to, _count, to.Length - _count);
            (_slots, _start) = (to, 0);
        }
        _slots[_start + _count++] = slot;
    }

    /// <summary>Drops every entry after <paramref name="last"/>.</summary>
    public void KeepThrough(long last)
    {
        var kept = (int)Math.Clamp(last - Base.Index, 0, _count);
        Array.Clear(_slots, _start + kept, _count - kept);
        _count = kept;
    }

    /// <summary>Drops every entry up to <paramref name="through"/>, which is in the log.</summary>
    public void CutThrough(LogPosition through)
    {
        var cut = (int)(through.Index - Base.Index);
        Array.Clear(_slots, _start, cut);
        (_start, _count, Base) = (_start + cut, _count - cut, through);
    }

    /// <summary>Lets the log begin after an earlier <paramref name="before"/>; what is between is damaged.</summary>
    public void Precede(LogPosition before)
    {
        var (slots, start, count, missing) = (_slots, _start, _count, (int)(Base.Index - before.Index));
        (_slots, _start, _count, Base) = (new Slot[Math.Max(64, count + missing)], 0, count + missing, before);
        Array.Copy(slots, start, _slots, missing, count);
    }
}
