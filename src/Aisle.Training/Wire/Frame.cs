using System.Buffers.Binary;
using System.IO.Hashing;

namespace Aisle.Training.Wire;

/// <summary>What a frame's body is.</summary>
internal enum FrameKind
{
    /// <summary>JSON, see <see cref="ControlMessage"/>.</summary>
    Control = 1,
    Handshake = 2,

    /// <summary>Who dials: the first frame of a connection between workers.</summary>
    PeerHello = 3,
    Contribution = 4,
    Reduced = 5,
    State = 6,

    /// <summary>The one frame that goes back: whether whoever dialled may say where numbers lie instead of sending them.</summary>
    PeerReady = 7,
    StateAsked = 8,
}

/// <summary>
/// How everything travels: a 16-byte header (body length; kind; how much of the body is its head; XXH3-64 of these, the head and the rest; little-endian)
/// and the body. A frame is taken whole and unharmed, or its connection is closed. Head and rest may lie apart when they are sent.
/// </summary>
internal static class Frame
{
    public const int HeaderBytes = 16;
    public const int MaxBodyBytes = 1 << 20;

    /// <summary>Fills in the header of a frame whose body has been written after it.</summary>
    public static void Seal(Span<byte> frame, FrameKind kind) => Seal(frame, kind, headBytes: 0, frame[HeaderBytes..]);

    /// <summary>Fills in the header of a frame whose body's head has been written after it and whose rest lies elsewhere.</summary>
    public static void Seal(Span<byte> frame, FrameKind kind, ReadOnlySpan<byte> rest) => Seal(frame, kind, frame.Length - HeaderBytes, rest);

    /// <summary>What the check of a whole frame must be.</summary>
    public static ulong Check(ReadOnlySpan<byte> frame)
    {
        var headBytes = Math.Min(BinaryPrimitives.ReadUInt16LittleEndian(frame[6..]), frame.Length - HeaderBytes);
        return Check(frame[..(HeaderBytes + headBytes)], frame[(HeaderBytes + headBytes)..]);
    }

    private static void Seal(Span<byte> frame, FrameKind kind, int headBytes, ReadOnlySpan<byte> rest)
    {
        var bodyBytes = headBytes + rest.Length;
        if (bodyBytes > MaxBodyBytes || headBytes > ushort.MaxValue)
        {
            throw new AisleException("AISLE-5130", $"A frame of {bodyBytes} bytes cannot be sent; the most is {MaxBodyBytes}.", "Use fewer workers or slices per step.");
        }
        BinaryPrimitives.WriteInt32LittleEndian(frame, bodyBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(frame[4..], (ushort)kind);
        BinaryPrimitives.WriteUInt16LittleEndian(frame[6..], (ushort)headBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[8..], Check(frame[..(HeaderBytes + headBytes)], rest));
    }

    private static ulong Check(ReadOnlySpan<byte> head, ReadOnlySpan<byte> rest)
    {
        var seed = BinaryPrimitives.ReadInt64LittleEndian(head);
        if (head.Length > HeaderBytes) seed = (long)XxHash3.HashToUInt64(head[HeaderBytes..], seed);
        return XxHash3.HashToUInt64(rest, seed);
    }
}

/// <summary>Takes frames out of a stream one after the other. Not thread-safe.</summary>
internal sealed class FrameReader(Stream stream)
{
    private const int FirstBufferBytes = 1 << 17;
    private const int ReadAheadBytes = 1 << 14; // small frames come many at once; of a large one's successor little is read, because it must be moved
    private byte[] _buffer = new byte[FirstBufferBytes];
    private int _start;
    private int _end;

    /// <summary>Waits for the next frame.</summary>
    /// <returns>False at the stream's end between two frames. The body stands until the next call.</returns>
    /// <exception cref="AisleException">AISLE-5131: torn or damaged.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public bool TryRead(out FrameKind kind, out ReadOnlySpan<byte> body)
    {
        kind = default;
        body = default;
        if (!Fill(Frame.HeaderBytes, mayEnd: true)) return false;
        var length = BinaryPrimitives.ReadInt32LittleEndian(_buffer.AsSpan(_start));
        if (length is < 0 or > Frame.MaxBodyBytes) throw Damaged($"a length of {length} bytes, where {Frame.MaxBodyBytes} is the most");
        Fill(Frame.HeaderBytes + length, mayEnd: false);
        var frame = _buffer.AsSpan(_start, Frame.HeaderBytes + length);
        if (Frame.Check(frame) != BinaryPrimitives.ReadUInt64LittleEndian(frame[8..])) throw Damaged($"{length} bytes whose check does not match");
        kind = (FrameKind)BinaryPrimitives.ReadUInt16LittleEndian(frame[4..]);
        body = frame[Frame.HeaderBytes..];
        _start += frame.Length;
        return true;
    }

    private bool Fill(int bytes, bool mayEnd)
    {
        if (_end - _start >= bytes) return true;
        if (_start + bytes > _buffer.Length)
        {
            var grown = bytes + ReadAheadBytes > _buffer.Length ? new byte[bytes + bytes / 4 + ReadAheadBytes] : _buffer;
            _buffer.AsSpan(_start, _end - _start).CopyTo(grown);
            (_buffer, _start, _end) = (grown, 0, _end - _start);
        }
        while (_end - _start < bytes)
        {
            var read = stream.Read(_buffer.AsSpan(_end, Math.Min(_buffer.Length - _end, bytes - (_end - _start) + ReadAheadBytes)));
            if (read == 0) return mayEnd && _end == _start ? false : throw Damaged("an end in mid-frame");
            _end += read;
        }
        return true;
    }

    private static AisleException Damaged(string what) => new(
        "AISLE-5131", $"A connection brought {what}.", "It is closed and opened again; if this repeats, look for a faulty network card or memory, or for another program on the port.");
}
