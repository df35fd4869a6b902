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
}

/// <summary>
/// How everything travels: a 16-byte header (body length, kind, XXH3-64 of both and the body; little-endian) and the body. A frame is taken
/// whole and unharmed, or its connection is closed.
/// </summary>
internal static class Frame
{
    public const int HeaderBytes = 16;
    public const int MaxBodyBytes = 1 << 20;

    /// <summary>Fills in the header of a frame whose body has been written after it.</summary>
    public static void Seal(Span<byte> frame, FrameKind kind)
    {
        var bodyBytes = frame.Length - HeaderBytes;
        if (bodyBytes is < 0 or > MaxBodyBytes)
        {
            throw new AisleException("AISLE-5130", $"A frame of {bodyBytes} bytes cannot be sent; the most is {MaxBodyBytes}.", "Use fewer workers or slices per step.");
        }
        BinaryPrimitives.WriteInt32LittleEndian(frame, bodyBytes);
        BinaryPrimitives.WriteInt32LittleEndian(frame[4..], (int)kind);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[8..], Check(frame));
    }

    public static ulong Check(ReadOnlySpan<byte> frame) =>
        XxHash3.HashToUInt64(frame[HeaderBytes..], seed: BinaryPrimitives.ReadInt64LittleEndian(frame));
}

/// <summary>Takes frames out of a stream one after the other. Not thread-safe.</summary>
internal sealed class FrameReader(Stream stream)
{
    private const int FirstBufferBytes = 1 << 17;
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
        kind = (FrameKind)BinaryPrimitives.ReadInt32LittleEndian(frame[4..]);
        body = frame[Frame.HeaderBytes..];
        _start += frame.Length;
        return true;
    }

    private bool Fill(int bytes, bool mayEnd)
    {
        if (_end - _start >= bytes) return true;
        if (_start + bytes > _buffer.Length)
        {
            // Room for two of the frames seen: the rest of one and the whole next usually arrive together.
            var grown = bytes > _buffer.Length / 2 ? new byte[bytes * 2] : _buffer;
            _buffer.AsSpan(_start, _end - _start).CopyTo(grown);
            (_buffer, _start, _end) = (grown, 0, _end - _start);
        }
        while (_end - _start < bytes)
        {
            var read = stream.Read(_buffer.AsSpan(_end));
            if (read == 0) return mayEnd && _end == _start ? false : throw Damaged("an end in mid-frame");
            _end += read;
        }
        return true;
    }

    private static AisleException Damaged(string what) => new(
        "AISLE-5131", $"A connection brought {what}.", "It is closed and opened again; if this repeats, look for a faulty network card or memory, or for another program on the port.");
}
