using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Aisle.Training.Exchange;

/// <summary>Where another process on this host finds an arena, and how it knows that it found the right one.</summary>
internal readonly record struct ArenaOffer(int Process, int Descriptor, long Bytes, UInt128 Proof)
{
    public const int SizeBytes = 32;

    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteInt32LittleEndian(target, Process);
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], Descriptor);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], Bytes);
        BinaryPrimitives.WriteUInt128LittleEndian(target[16..], Proof);
    }

    public static ArenaOffer Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadInt32LittleEndian(source), BinaryPrimitives.ReadInt32LittleEndian(source[4..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[8..]), BinaryPrimitives.ReadUInt128LittleEndian(source[16..]));
}

/// <summary>
/// Memory of this process that peers on the same host may map and read. It has a descriptor and no name in any folder, so the system takes it back
/// when the last process that maps it is gone, however that ended. Thread-safe. Unmapped when its owner and every buffer in use have let go.
/// </summary>
internal sealed unsafe class SharedArena
{
    /// <summary>Room before a buffer's numbers: its generation, then nothing up to the next cache line.</summary>
    public const int BufferHeadBytes = 64;
    private const int PageBytes = 4096;
    private readonly int _descriptor;
    private readonly byte* _start;
    private readonly Lock _gate = new(); // guards _taken
    private long _taken = PageBytes; // the first page holds the proof
    private int _holders = 1;

    private SharedArena(int descriptor, byte* start, long bytes)
    {
        _descriptor = descriptor;
        _start = start;
        var proof = BinaryPrimitives.ReadUInt128LittleEndian(RandomNumberGenerator.GetBytes(sizeof(UInt128)));
        *(UInt128*)start = proof;
        Offer = new ArenaOffer(Environment.ProcessId, descriptor, bytes, proof);
    }

    public ArenaOffer Offer { get; }

    /// <param name="bytes">Address space, not memory: memory is taken buffer by buffer.</param>
    /// <returns>Null where the system has no such memory or not so much room: then numbers travel as bytes.</returns>
    public static SharedArena? TryCreate(long bytes)
    {
        bytes = RoundUp(bytes + PageBytes);
        var descriptor = Libc.CreateMemory("aisle-exchange", Libc.MemoryCloseOnExec | Libc.MemoryMaySeal);
        if (descriptor < 0) return null;
        // Sealed, so that no peer that maps it can ever find its end cut off, which would kill it.
        if (Libc.SetLength(descriptor, bytes) == 0 && Libc.Control(descriptor, Libc.AddSeals, Libc.SealShrink | Libc.SealGrow | Libc.SealSeal) == 0 &&
            Libc.Allocate(descriptor, 0, 0, PageBytes) == 0)
        {
            var start = Libc.Map(0, (nint)bytes, Libc.MayRead | Libc.MayWrite, Libc.MapShared, descriptor, 0);
            if (start != Libc.Failed) return new SharedArena(descriptor, (byte*)start, bytes);
        }
        _ = Libc.Close(descriptor);
        return null;
    }

    /// <summary>Room for a buffer with its head; <paramref name="place"/> is where the head begins. Never given back: buffers are used again.</summary>
    public bool TryTake(long numbersBytes, out byte* numbers, out long place)
    {
        var bytes = RoundUp(BufferHeadBytes + numbersBytes);
        lock (_gate)
        {
            numbers = _start + _taken + BufferHeadBytes;
            place = _taken;
            // Memory is set aside now: finding none later would kill the process in mid-write.
            if (bytes > Offer.Bytes - _taken || Libc.Allocate(_descriptor, 0, _taken, bytes) != 0) return false;
            _taken += bytes;
            return true;
        }
    }

    public void Hold() => Interlocked.Increment(ref _holders);

    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) != 0) return;
        _ = Libc.Unmap((nint)_start, (nint)Offer.Bytes);
        _ = Libc.Close(_descriptor);
    }

    private static long RoundUp(long bytes) => (bytes + PageBytes - 1) / PageBytes * PageBytes;
}
