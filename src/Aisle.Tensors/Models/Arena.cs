using System.Buffers;
using System.Runtime.InteropServices;

namespace Aisle.Tensors;

/// <summary>One flat block of floats at a 64-byte boundary outside the managed heap: it never moves, so tensors, sockets and kernels may all look at it.</summary>
/// <remarks>Not thread-safe. Whoever makes it disposes it, after everything that looks at it: a finalizer could free it under a span.</remarks>
internal sealed unsafe class Arena : MemoryManager<float>
{
    private readonly int _length;
    private float* _data;

    /// <param name="length">Floats; all zero at first.</param>
    public Arena(int length)
    {
        _length = length;
        _data = NativeFloats.Allocate(length);
        NativeMemory.Clear(_data, (nuint)length * sizeof(float));
        GC.AddMemoryPressure((long)length * sizeof(float));
    }

    /// <exception cref="ObjectDisposedException">The memory was given back.</exception>
    public float* At(int offset)
    {
        ObjectDisposedException.ThrowIf(_data is null, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)offset, (uint)_length, nameof(offset));
        return _data + offset;
    }

    public override Span<float> GetSpan() => new(At(0), _length);

    public override MemoryHandle Pin(int elementIndex = 0) => new(At(elementIndex));

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
        if (_data is null) return;
        NativeFloats.Free(_data, _length);
        _data = null;
        GC.RemoveMemoryPressure((long)_length * sizeof(float));
    }
}
