namespace Aisle.Training.Exchange;

/// <summary>
/// Another process's arena, mapped here to be read. It stays readable when that process dies. Thread-safe; unmapped when the last holder lets go.
/// </summary>
internal sealed unsafe class PeerArena
{
    private readonly byte* _start;
    private readonly long _bytes;
    private int _holders = 1;

    private PeerArena(byte* start, long bytes)
    {
        _start = start;
        _bytes = bytes;
    }

    /// <returns>Null when it cannot be reached from here (another host, user or container) or is not what the offer says.</returns>
    public static PeerArena? TryMap(ArenaOffer offer)
    {
        if (offer.Process <= 0 || offer.Descriptor < 0 || offer.Bytes < sizeof(UInt128) || offer.Bytes > 1L << 46) return null;
        var descriptor = Libc.Open($"/proc/{offer.Process}/fd/{offer.Descriptor}", Libc.ReadOnly | Libc.NonBlocking | Libc.CloseOnExec);
        if (descriptor < 0) return null;
        try
        {
            // Only memory that can never shrink is mapped: touching what is cut off would kill this process.
            if (Libc.Control(descriptor, Libc.GetSeals, 0) is var seals && (seals < 0 || (seals & Libc.SealShrink) == 0)) return null;
            if (Libc.Seek(descriptor, 0, Libc.FromEnd) < offer.Bytes) return null;
            var start = Libc.Map(0, (nint)offer.Bytes, Libc.MayRead, Libc.MapShared, descriptor, 0);
            if (start == Libc.Failed) return null;
            var arena = new PeerArena((byte*)start, offer.Bytes);
            if (*(UInt128*)start == offer.Proof) return arena;
            arena.Release();
            return null;
        }
        finally
        {
            _ = Libc.Close(descriptor);
        }
    }

    /// <summary>Where the numbers of a buffer lie.</summary>
    /// <exception cref="AisleException">AISLE-5140: no buffer of so many bytes can begin there.</exception>
    public byte* NumbersAt(long place, long numbersBytes)
    {
        if (place < 0 || place % SharedArena.BufferHeadBytes != 0 || place > _bytes - SharedArena.BufferHeadBytes - numbersBytes)
        {
            throw new AisleException("AISLE-5140", $"A peer says that {numbersBytes} bytes lie at {place} of its {_bytes} shared bytes.", "Start the coordinator and all workers from one version.");
        }
        return _start + place + SharedArena.BufferHeadBytes;
    }

    /// <summary>Whether the buffer at <paramref name="place"/> still holds what it held at that generation. Ask before reading and again after.</summary>
    public bool IsStill(long place, long generation)
    {
        Thread.MemoryBarrier();
        return Volatile.Read(ref *(long*)(_start + place)) == generation;
    }

    public void Hold() => Interlocked.Increment(ref _holders);

    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) == 0) _ = Libc.Unmap((nint)_start, (nint)_bytes);
    }
}
