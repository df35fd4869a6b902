using Aisle.Ledger.Log;

namespace Aisle.Ledger.Tests.Log;

/// <summary>The machine lost power in the middle of this operation.</summary>
internal sealed class PowerCutException() : IOException("The power was cut.");

/// <summary>
/// A disk in memory, all of whose faults come from one seed. It keeps what was written and what was flushed apart: a power cut leaves of the unflushed
/// writes any subset of their 512-byte sectors, and of unflushed creations, renames and deletions any first few. Safe to call from many threads.
/// </summary>
internal sealed class SimulatedDisk(int seed) : ILedgerDisk
{
    public const int SectorBytes = 512;

    private readonly Lock _gate = new();
    private readonly Random _random = new(seed);
    private Dictionary<string, Inode> _names = new(StringComparer.Ordinal);
    private Dictionary<string, Inode> _durableNames = new(StringComparer.Ordinal);
    private readonly List<(string Name, Inode? Inode)> _unflushed = [];
    private int _cuts;

    public string Place => "/disk";

    /// <summary>Operations that change something, so far.</summary>
    public int Operations { get; private set; }

    /// <summary>The power is cut during the operation that makes <see cref="Operations"/> pass this.</summary>
    public int CutAfter { get; set; } = int.MaxValue;

    /// <summary>Writes and flushes fail from this operation on, as a dying disk's do: a failed flush forgets what it should have flushed.</summary>
    public int FailAfter { get; set; } = int.MaxValue;

    /// <summary>Bytes that all files may have; a write beyond fails, and leaves what fitted.</summary>
    public long Room { get; set; } = long.MaxValue;

    public int Flushes { get; private set; }

    public IReadOnlyList<string> List()
    {
        lock (_gate) return [.. _names.Keys.Order(StringComparer.Ordinal)];
    }

    public ILedgerFile Open(string name, bool create = false)
    {
        lock (_gate)
        {
            if (!create) return _names.TryGetValue(name, out var there) ? new Handle(this, there, _cuts) : throw new FileNotFoundException($"{name} is not there.");
            Change(null);
            var inode = new Inode();
            Enter(name, inode);
            return new Handle(this, inode, _cuts);
        }
    }

    public void Delete(string name)
    {
        lock (_gate)
        {
            Change(null);
            Enter(name, null);
        }
    }

    public void Rename(string from, string to)
    {
        lock (_gate)
        {
            Change(null);
            // Both names in one step, as a journal does it.
            var inode = _names[from];
            _names.Remove(from);
            _names[to] = inode;
            _unflushed.Add((from + "\0" + to, inode));
        }
    }

    public void FlushDirectory()
    {
        lock (_gate)
        {
            Change(null);
            _unflushed.Clear();
            _durableNames = new(_names, StringComparer.Ordinal);
        }
    }

    /// <summary>The power comes back: what lasted is there, and what was open is not any more.</summary>
    public void Restart()
    {
        lock (_gate)
        {
            foreach (var (name, inode) in _unflushed.Take(_random.Next(_unflushed.Count + 1))) Enter(_durableNames, name, inode);
            _unflushed.Clear();
            foreach (var inode in _durableNames.Values.Distinct()) inode.LosePower(_random);
            _names = new(_durableNames, StringComparer.Ordinal);
            _cuts++;
            (CutAfter, FailAfter) = (int.MaxValue, int.MaxValue);
        }
    }

    /// <summary>Another process opens it, without a power cut: all that was written is there.</summary>
    public void Reopen()
    {
        lock (_gate)
        {
            _cuts++;
            (CutAfter, FailAfter) = (int.MaxValue, int.MaxValue);
        }
    }

    /// <summary>Flips one bit on the medium.</summary>
    public void Flip(string name, int offset)
    {
        lock (_gate)
        {
            var inode = _names[name];
            inode.Now[offset] ^= (byte)(1 << _random.Next(8));
            inode.Durable[offset] = inode.Now[offset];
        }
    }

    /// <summary>Zeros on the medium, as a write that the disk claimed and never did leaves them.</summary>
    public void Blank(string name, int offset, int count)
    {
        lock (_gate)
        {
            var inode = _names[name];
            for (var i = offset; i < Math.Min(offset + count, inode.Now.Count); i++) inode.Durable[i] = inode.Now[i] = 0;
        }
    }

    public byte[] Bytes(string name)
    {
        lock (_gate) return [.. _names[name].Now];
    }

    private void Enter(string name, Inode? inode)
    {
        Enter(_names, name, inode);
        _unflushed.Add((name, inode));
    }

    private static void Enter(Dictionary<string, Inode> names, string name, Inode? inode)
    {
        if (name.Split('\0') is [var from, var to])
        {
            names.Remove(from);
            names[to] = inode!;
        }
        else if (inode is null)
        {
            names.Remove(name);
        }
        else
        {
            names[name] = inode;
        }
    }

    private void Change(Action? half)
    {
        if (++Operations > CutAfter)
        {
            // Cut before, in the middle or after: the sectors tell.
            half?.Invoke();
            throw new PowerCutException();
        }
        if (Operations > FailAfter) throw new IOException("Input/output error");
    }

    private sealed class Inode
    {
        public List<byte> Now = [];
        public List<byte> Durable = [];
        public readonly SortedSet<int> Dirty = [];   // sectors written and not flushed

        public void Write(ReadOnlySpan<byte> bytes, int offset)
        {
            if (Now.Count < offset + bytes.Length) System.Runtime.InteropServices.CollectionsMarshal.SetCount(Now, Math.Max(Now.Count, offset + bytes.Length));
            bytes.CopyTo(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(Now)[offset..]);
            for (var sector = offset / SectorBytes; sector * SectorBytes < offset + bytes.Length; sector++) Dirty.Add(sector);
        }

        public void Flush()
        {
            foreach (var sector in Dirty) Settle(sector);
            Dirty.Clear();
        }

        public void LosePower(Random random)
        {
            // All, none, a half, or one or two sectors missing: each kind of tear often enough.
            var chance = random.Next(4) switch { 0 => 0.0, 1 => 1.0, 2 => 0.5, _ => 1 - 1.5 / Math.Max(2, Dirty.Count) };
            foreach (var sector in Dirty.Where(_ => random.NextDouble() < chance)) Settle(sector);
            Dirty.Clear();
            Now = [.. Durable];
        }

        private void Settle(int sector)
        {
            var start = sector * SectorBytes;
            var end = Math.Min(start + SectorBytes, Now.Count);
            if (Durable.Count < end) System.Runtime.InteropServices.CollectionsMarshal.SetCount(Durable, end);
            System.Runtime.InteropServices.CollectionsMarshal.AsSpan(Now)[start..end].CopyTo(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(Durable)[start..end]);
        }
    }

    private sealed class Handle(SimulatedDisk disk, Inode inode, int opened) : ILedgerFile
    {
        public long Length
        {
            get { lock (disk._gate) return inode.Now.Count; }
        }

        public int Read(Span<byte> into, long offset)
        {
            lock (disk._gate)
            {
                Check();
                var count = (int)Math.Clamp(inode.Now.Count - offset, 0, into.Length);
                System.Runtime.InteropServices.CollectionsMarshal.AsSpan(inode.Now).Slice((int)Math.Min(offset, inode.Now.Count), count).CopyTo(into);
                return count;
            }
        }

        public void Write(ReadOnlySpan<byte> bytes, long offset)
        {
            lock (disk._gate)
            {
                Check();
                // A sector is copied whole or not at all.
                var copied = (int)Math.Clamp((offset + disk._random.Next(bytes.Length + SectorBytes + 1)) / SectorBytes * SectorBytes - offset, 0, bytes.Length);
                var part = bytes[..copied].ToArray();
                disk.Change(() => inode.Write(part, (int)offset));
                var used = disk._names.Values.Distinct().Sum(file => (long)file.Now.Count) - inode.Now.Count;
                var fits = (int)Math.Clamp(disk.Room - used - offset, 0, bytes.Length);
                inode.Write(offset + bytes.Length <= inode.Now.Count ? bytes : bytes[..fits], (int)offset);
                if (fits < bytes.Length && offset + bytes.Length > inode.Now.Count) throw new IOException("No space left on device");
            }
        }

        public void Flush()
        {
            lock (disk._gate)
            {
                Check();
                disk.Flushes++;
                try
                {
                    disk.Change(() => { });
                }
                catch (IOException e) when (e is not PowerCutException)
                {
                    inode.Dirty.Clear();   // the pages are clean now, and their content never was on the disk
                    throw;
                }
                inode.Flush();
            }
        }

        public void Dispose()
        {
        }

        private void Check()
        {
            if (opened != disk._cuts) throw new IOException("This file was open before the power was cut.");
        }
    }
}
