using System.Runtime.InteropServices;

namespace Aisle.Training.Exchange;

/// <summary>
/// Numbers outside the managed heap, 64-byte aligned, that a sender may still be reading when their owner is done with them: whoever
/// releases last gives them back to the pool. Thread-safe in <see cref="Hold"/> and <see cref="Release"/> only.
/// </summary>
internal abstract unsafe class SharedBuffer
{
    public const long Private = -1;
    private static long s_bytes;
    private readonly SharedArena? _arena;
    private readonly long _bytes;
    private int _holders;

    protected SharedBuffer(SharedArena? arena, long bytes)
    {
        _bytes = bytes;
        Interlocked.Add(ref s_bytes, bytes);
        if (arena is not null && arena.TryTake(bytes, out var numbers, out var place))
        {
            _arena = arena;
            Numbers = numbers;
            Place = place;
            return;
        }
        Numbers = (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(1, bytes), SharedArena.BufferHeadBytes);
    }

    /// <summary>Bytes of all buffers of this process, in use or waiting to be used again: counted, so that a memory plan can be held against it.</summary>
    public static long Bytes => Interlocked.Read(ref s_bytes);

    public byte* Numbers { get; }

    /// <summary>Where peers that have mapped the arena find it; <see cref="Private"/> when they cannot.</summary>
    public long Place { get; } = Private;

    /// <summary>Changes whenever the buffer gets new content: what a peer reads is good if this was the same before and after.</summary>
    public long Generation => Place == Private ? 0 : *Stamp;

    /// <summary>Says, before anything is written, that what stands here is void.</summary>
    public void Renew()
    {
        if (Place != Private) Interlocked.Increment(ref *Stamp);
    }

    public void Hold() => Interlocked.Increment(ref _holders);

    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) != 0) return;
        GiveBack();
        _arena?.Release();
    }

    protected abstract void GiveBack();

    /// <summary>Out of the pool, held once.</summary>
    protected void BeginUse()
    {
        _arena?.Hold();
        _holders = 1;
        Renew();
    }

    private long* Stamp => (long*)(Numbers - SharedArena.BufferHeadBytes);

    ~SharedBuffer()
    {
        Interlocked.Add(ref s_bytes, -_bytes);
        if (Place == Private) NativeMemory.AlignedFree(Numbers);
    }
}

/// <inheritdoc/>
internal sealed unsafe class SharedBuffer<T>(BufferPool<T> pool, SharedArena? arena, int length) : SharedBuffer(arena, (long)length * sizeof(T))
    where T : unmanaged
{
    public int Length => length;

    public Span<T> Span => new(Numbers, length);

    public SharedBuffer<T> Begin()
    {
        BeginUse();
        return this;
    }

    protected override void GiveBack() => pool.Return(this);
}

/// <summary>Buffers of one length, used again and again; in the arena while it has room. Thread-safe. Holds as many as were ever in use at once.</summary>
internal sealed class BufferPool<T>(int length, SharedArena? arena = null)
    where T : unmanaged
{
    private readonly Lock _gate = new(); // guards _free
    private readonly Stack<SharedBuffer<T>> _free = [];

    /// <summary>Held once, by the caller. Contents are whatever was there.</summary>
    public SharedBuffer<T> Rent()
    {
        SharedBuffer<T>? free;
        lock (_gate) _free.TryPop(out free);
        return (free ?? new SharedBuffer<T>(this, arena, length)).Begin();
    }

    public void Return(SharedBuffer<T> buffer)
    {
        lock (_gate) _free.Push(buffer);
    }
}
