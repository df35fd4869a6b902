using System.Buffers.Binary;

namespace Aisle.Artifacts;

/// <summary>
/// One chunk in a shard: a 56-byte header and the payload. The header stands on its own, so a shard whose table is lost can be read by scan.
/// <code>
///  0 magic "AiFr"   4 version 1   5 codec 0 = raw   6 key id 0 = not encrypted (u16)
///  8 plain length   12 stored length   16 SHA-256 of the plain bytes   48 CRC32C of payload   52 CRC32C of bytes 0..51
/// </code>
/// All numbers are little-endian, u32 unless said otherwise.
/// </summary>
internal readonly record struct ShardFrame(Digest Chunk, int PlainLength, int StoredLength, uint PayloadCrc)
{
    public const int HeaderBytes = 56;
    public const uint Magic = 0x7246_6941; // "AiFr"
    private const byte Version = 1, RawCodec = 0;

    public int LengthBytes => HeaderBytes + StoredLength;

    public static ShardFrame Of(Digest chunk, ReadOnlySpan<byte> payload) => new(chunk, payload.Length, payload.Length, Crc32C.Of(payload));

    public void WriteHeader(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(destination, Magic);
        destination[4] = Version;
        destination[5] = RawCodec;
        destination[6] = destination[7] = 0;
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], (uint)PlainLength);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], (uint)StoredLength);
        Chunk.CopyTo(destination[16..]);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[48..], PayloadCrc);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[52..], Crc32C.Of(destination[..52]));
    }

    /// <summary>Why the header cannot be used, or null with the frame it describes.</summary>
    public static string? ReadHeader(ReadOnlySpan<byte> header, out ShardFrame frame)
    {
        frame = default;
        if (header.Length < HeaderBytes) return "a frame header is cut short";
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic) return "a frame does not begin with its magic number";
        if (BinaryPrimitives.ReadUInt32LittleEndian(header[52..]) != Crc32C.Of(header[..52])) return "a frame header fails its CRC";
        if (header[4] != Version) return $"frame version {header[4]} is not known";
        if (header[5] != RawCodec) return $"frame codec {header[5]} is not known";
        if (header[6] != 0 || header[7] != 0) return "the frame names a key, and this version knows none";
        var plain = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        var stored = BinaryPrimitives.ReadUInt32LittleEndian(header[12..]);
        if (plain is 0 or > Chunker.MaxBytes || stored != plain) return $"a frame of {plain} bytes stored as {stored} is not allowed";
        frame = new ShardFrame(new Digest(header.Slice(16, Digest.SizeBytes)), (int)plain, (int)stored, BinaryPrimitives.ReadUInt32LittleEndian(header[48..]));
        return null;
    }

    /// <summary>Why the payload is not the chunk the header names, or null when it is.</summary>
    public string? Check(ReadOnlySpan<byte> payload)
    {
        if (payload.Length != StoredLength) return "a payload is cut short";
        if (Crc32C.Of(payload) != PayloadCrc) return "the payload fails its CRC";
        return Digest.Of(payload) == Chunk ? null : "the payload is not what its digest says";
    }
}
