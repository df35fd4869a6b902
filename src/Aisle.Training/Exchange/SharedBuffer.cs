using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Aisle.Training.Exchange;

/// <summary>
/// Numbers outside the managed heap, 64-byte aligned, that a sender may still be reading when their owner is done with them: whoever
/// releases last gives them back to the pool. Thread-safe in <see cref="Hold"/> and <see cref="Release"/> only.
/// </summary>
internal sealed unsafe class SharedBuffer<T> : IDisposable
    where T : unmanaged
{
    private const nuint AlignmentBytes = 64;
    private readonly BufferPool<T> _pool;
    private T* _memory;
    private int _holders;

    public SharedBuffer(BufferPool<T> pool, int length)
    {
        (_pool, Length) = (pool, length);
        _memory = (T*)NativeMemory.AlignedAlloc((nuint)Math.Max(1, length) * (nuint)sizeof(T), AlignmentBytes);
    }

    public int Length { get; }

    public Span<T> Span => _memory is null ? throw new ObjectDisposedException(nameof(SharedBuffer<>)) : new Span<T>(_memory, Length);

    public SharedBuffer<T> Hold()
    {
        Interlocked.Increment(ref _holders);
        return this;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) == 0) _pool.Return(this);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
        GC.SuppressFinalize(this);
    }

    ~SharedBuffer() => NativeMemory.AlignedFree(_memory);
}

/// <summary>Buffers of one length, used again and again. Thread-safe. Holds as many as were ever in use at once.</summary>
internal sealed class BufferPool<T>(int length)
    where T : unmanaged
{
    private readonly ConcurrentBag<SharedBuffer<T>> _free = [];

    /// <summary>Held once, by the caller. Contents are whatever was there.</summary>
    public SharedBuffer<T> Rent() => (_free.TryTake(out var buffer) ? buffer : new SharedBuffer<T>(this, length)).Hold();

    public void Return(SharedBuffer<T> buffer) => _free.Add(buffer);
}
