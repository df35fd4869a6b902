using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>Opening, and reading entries back.</summary>
internal sealed partial class WriteAheadLog
{
    // Of one segment a file handle stays open for reading: followers that lag read one after the other.
    private readonly Lock _reading = new();
    private (long Segment, ILedgerFile File)? _old;

    /// <summary>Opens a member's log, or begins one where there is none.</summary>
    /// <param name="identity">Whose log it is. A directory that has another's is refused; one that had a log and lost it too: an emptied disk is a new member.</param>
    /// <exception cref="LedgerDamagedException">What this member voted for cannot be told. Damage that leaves it known opens, see <see cref="Damaged"/>.</exception>
    /// <exception cref="AisleException">AISLE-2055: a format this program does not know. AISLE-2057: another member's directory.</exception>
    /// <exception cref="IOException">The disk failed.</exception>
    public static WriteAheadLog Open(ILedgerDisk disk, LedgerIdentity identity, LogOptions? options = null)
    {
        if (LedgerIdentity.Read(disk) is { } bound)
        {
            if (bound != identity)
            {
                throw new AisleException(LedgerCodes.OtherMember, $"{disk.Place} belongs to {bound}; this is {identity}.",
                    "Give this member its own directory. To let it join another cluster, begin with an empty one: it becomes a new member.");
            }
        }
        else
        {
            Begin(disk, identity);
        }
        return new WriteAheadLog(disk, options ?? new LogOptions(), LogRecovery.Run(disk));
    }

    /// <summary>Entries from <paramref name="from"/> on, in order, without a gap: at least one, and as many as fit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not in the log: cut away, or not there yet. That is never an empty answer.</exception>
    /// <exception cref="LedgerDamagedException">It is in <see cref="Damaged"/>, perhaps since this moment.</exception>
    public IReadOnlyList<Entry> Read(long from, int maxBytes)
    {
        var entries = new List<Entry>();
        var slots = new List<EntryIndex.Slot>();
        lock (_gate)
        {
            if (!_index.Contains(from)) throw new ArgumentOutOfRangeException(nameof(from), from, $"The log has entries {_index.Base.Index + 1} to {_index.Last}.");
            if (_index[from].Term == 0) throw DamagedAt(from);
            var bytes = 0L;
            for (var index = from; index <= _index.Last && _index[index].Term != 0; index++)
            {
                bytes += _index[index].Bytes;
                if (bytes > maxBytes && slots.Count > 0) break;
                slots.Add(_index[index]);
            }
        }
        for (var i = 0; i < slots.Count;)
        {
            if (slots[i].Cached is { } cached)
            {
                entries.Add(cached);
                i++;
                continue;
            }
            var run = 1;
            while (i + run < slots.Count && slots[i + run] is { Cached: null } next && next.Segment == slots[i].Segment && next.Offset > slots[i + run - 1].Offset
                && next.Offset + next.Bytes - slots[i].Offset <= 2L * maxBytes) run++;
            if (!ReadRun(from + i, slots.GetRange(i, run), entries)) break;
            i += run;
        }
        if (entries.Count == 0) lock (_gate) throw DamagedAt(from);
        return entries;
    }

    /// <summary>Reads entries that stand behind one another in one segment.</summary>
    /// <returns>False when one of them has gone bad; those before it were added.</returns>
    private bool ReadRun(long first, List<EntryIndex.Slot> slots, List<Entry> into)
    {
        var start = slots[0].Offset;
        var bytes = new byte[slots[^1].Offset + slots[^1].Bytes - start];
        int read;
        lock (_reading)
        {
            if (_old?.Segment != slots[0].Segment)
            {
                _old?.File.Dispose();
                _old = null;
                _old = (slots[0].Segment, _disk.Open(LogSegment.NameOf(slots[0].Segment)));
            }
            read = _old!.Value.File.Read(bytes, start);
        }
        for (var i = 0; i < slots.Count; i++)
        {
            var at = (int)(slots[i].Offset - start);
            if (at + slots[i].Bytes <= read && EntryCodec.TryRead(bytes.AsMemory(at, slots[i].Bytes), out var entry, out _)
                && entry.Index == first + i && entry.Term == slots[i].Term)
            {
                into.Add(entry);
                continue;
            }
            lock (_gate)
            {
                if (!_index.Contains(first + i) || _index[first + i].Offset != slots[i].Offset || _index[first + i].Segment != slots[i].Segment) return false;
                _index[first + i] = default;
                _damaged.Add(new LogDamage(_disk.PathOf(LogSegment.NameOf(slots[i].Segment)), slots[i].Offset, first + i, first + i));
                _damaged.Sort((one, two) => one.FirstIndex.CompareTo(two.FirstIndex));
            }
            return false;
        }
        return true;
    }

    /// <summary>The exception for a reader that cannot fetch the entry elsewhere.</summary>
    private LedgerDamagedException DamagedAt(long index)
    {
        var damage = _damaged.Find(damage => damage.FirstIndex <= index && index <= damage.LastIndex);
        return damage is null
            ? new LedgerDamagedException(_disk.Place, 0, $"entry {index} was replaced while it was being read")
            : new LedgerDamagedException(damage.File, damage.Offset, damage.FirstIndex == damage.LastIndex
                ? $"entry {damage.FirstIndex} was flushed and is not what was written"
                : $"entries {damage.FirstIndex} to {damage.LastIndex} were flushed and are not what was written");
    }

    /// <summary>For a ledger without peers: nobody has the entries.</summary>
    /// <exception cref="LedgerDamagedException">There are damaged entries.</exception>
    public void ThrowIfDamaged()
    {
        lock (_gate)
        {
            if (_damaged.Count > 0) throw DamagedAt(_damaged[0].FirstIndex);
        }
    }

    /// <summary>The first segment, then the identity: where the identity is, there was a log.</summary>
    private static void Begin(ILedgerDisk disk, LedgerIdentity identity)
    {
        var segments = LogSegment.List(disk);
        if (SnapshotFiles.List(disk).Count > 0 || segments.Count > 1 || (segments.Count == 1 && segments[0] != 1) || (segments.Count == 1 && HasBatch(disk)))
        {
            throw new LedgerDamagedException(disk.PathOf(LedgerIdentity.FileName), 0, "it is missing, and the log that it belongs to is there");
        }
        Create(disk, 1, new LogFrame { Kinds = FrameKinds.Seal, First = 1 }).File.Dispose();
        identity.Write(disk);
    }

    private static bool HasBatch(ILedgerDisk disk)
    {
        var name = LogSegment.NameOf(1);
        var bytes = disk.ReadAll(name);
        LogSegment.CheckHeader(bytes, disk.PathOf(name));
        for (var at = LogSegment.HeaderBytes; (at = LogFrame.Find(bytes, 1, at, out var frame)) >= 0; at += LogFrame.HeadBytes)
        {
            if (frame.Number > 0) return true;
        }
        return false;
    }

    private (ILedgerFile File, long FilledTo) OpenNewest()
    {
        var file = _disk.Open(LogSegment.NameOf(_segments[^1].Number));
        try
        {
            // Zeros over it rather than a shorter file: on a full disk the space that the file has is all there is.
            for (var at = 0L; at < TornBytes; at += MostFill) file.Write(Zeros.AsSpan(0, (int)Math.Min(MostFill, TornBytes - at)), _end + at);
            // What was read may be in memory only, if the process before this one died between its write and its flush.
            file.Flush();
            return (file, file.Length);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static (ILedgerFile File, long FilledTo) Create(ILedgerDisk disk, long number, LogFrame seal)
    {
        var file = disk.Open(LogSegment.NameOf(number), create: true);
        try
        {
            var start = new byte[LeastFill];
            LogSegment.WriteHeader(start, number);
            (seal with { Kinds = FrameKinds.Seal, First = seal.Last.Index + 1 }).WriteHead(start.AsSpan(LogSegment.HeaderBytes), number, LogSegment.HeaderBytes);
            file.Write(start, 0);
            file.Flush();
            disk.FlushDirectory();
            return (file, LeastFill);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
