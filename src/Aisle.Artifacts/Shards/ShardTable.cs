using System.Buffers.Binary;
using System.Collections.Immutable;

namespace Aisle.Artifacts;

/// <summary>Where a chunk's frame lies in its shard.</summary>
internal readonly record struct ShardSlot(Digest Chunk, int Offset, int StoredLength, int PlainLength);

/// <summary>
/// A shard's footer: its chunks in order of digest. The shard's id is the SHA-256 of these bytes, so the id vouches for every
/// chunk inside and for where it lies.
/// <code>
/// table    "AiTb"  version 1 and three zero bytes  count  { digest 32, offset, stored length, plain length } × count
/// trailer  "AiEn"  table length  CRC32C of table  CRC32C of the 12 bytes before
/// </code>
/// </summary>
internal sealed class ShardTable
{
    public const int HeaderBytes = 12, SlotBytes = Digest.SizeBytes + 12, TrailerBytes = 16;
    public const uint Magic = 0x6254_6941; // "AiTb"
    private const uint EndMagic = 0x6E45_6941; // "AiEn"
    private const uint Version = 1;

    private ShardTable(ImmutableArray<ShardSlot> slots, byte[] encoded)
    {
        Slots = slots;
        Encoded = encoded;
        Id = Digest.Of(encoded);
    }

    public Digest Id { get; }

    /// <summary>In order of digest.</summary>
    public ImmutableArray<ShardSlot> Slots { get; }

    /// <summary>The table's bytes, without the trailer.</summary>
    public ReadOnlyMemory<byte> Encoded { get; }

    /// <param name="slots">In any order, each chunk once.</param>
    public static ShardTable Of(IEnumerable<ShardSlot> slots)
    {
        ImmutableArray<ShardSlot> sorted = [.. slots.OrderBy(slot => slot.Chunk)];
        var bytes = new byte[HeaderBytes + sorted.Length * SlotBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), Version);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), (uint)sorted.Length);
        var to = bytes.AsSpan(HeaderBytes);
        foreach (var slot in sorted)
        {
            slot.Chunk.CopyTo(to);
            BinaryPrimitives.WriteUInt32LittleEndian(to[32..], (uint)slot.Offset);
            BinaryPrimitives.WriteUInt32LittleEndian(to[36..], (uint)slot.StoredLength);
            BinaryPrimitives.WriteUInt32LittleEndian(to[40..], (uint)slot.PlainLength);
            to = to[SlotBytes..];
        }
        return new ShardTable(sorted, bytes);
    }

    public byte[] Trailer()
    {
        var bytes = new byte[TrailerBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, EndMagic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), (uint)Encoded.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), Crc32C.Of(Encoded.Span));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), Crc32C.Of(bytes.AsSpan(0, 12)));
        return bytes;
    }

    /// <summary>Length of the table that a trailer closes.</summary>
    /// <param name="fileBytes">Length of the whole shard file.</param>
    public static int ReadTrailer(ReadOnlySpan<byte> trailer, long fileBytes)
    {
        if (trailer.Length != TrailerBytes || BinaryPrimitives.ReadUInt32LittleEndian(trailer) != EndMagic) throw new ShardInvalidException("it does not end in a trailer");
        if (BinaryPrimitives.ReadUInt32LittleEndian(trailer[12..]) != Crc32C.Of(trailer[..12])) throw new ShardInvalidException("the trailer fails its CRC");
        var length = BinaryPrimitives.ReadUInt32LittleEndian(trailer[4..]);
        if (length < HeaderBytes + SlotBytes || length > HeaderBytes + ShardWriter.MaxFrames * SlotBytes || length > fileBytes - TrailerBytes)
            throw new ShardInvalidException($"a table of {length} bytes does not fit a file of {fileBytes}");
        return (int)length;
    }

    /// <summary>Reads a footer and checks that its frames lie end to end and fill the file up to the table.</summary>
    public static ShardTable Parse(ReadOnlySpan<byte> bytes, long fileBytes)
    {
        if (bytes.Length < HeaderBytes
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]) != Version) throw new ShardInvalidException("its table is of no known version");
        var count = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (count is 0 or > ShardWriter.MaxFrames || bytes.Length != HeaderBytes + count * SlotBytes)
            throw new ShardInvalidException($"a table of {bytes.Length} bytes cannot hold {count} entries");
        var slots = new ShardSlot[count];
        var from = bytes[HeaderBytes..];
        for (var i = 0; i < slots.Length; i++, from = from[SlotBytes..])
        {
            var offset = BinaryPrimitives.ReadUInt32LittleEndian(from[32..]);
            var stored = BinaryPrimitives.ReadUInt32LittleEndian(from[36..]);
            var plain = BinaryPrimitives.ReadUInt32LittleEndian(from[40..]);
            if (offset >= ShardWriter.MaxFrameBytes || plain is 0 or > Chunker.MaxBytes || stored != plain) throw new ShardInvalidException($"table entry {i} is out of bounds");
            slots[i] = new ShardSlot(new Digest(from[..Digest.SizeBytes]), (int)offset, (int)stored, (int)plain);
            if (i > 0 && slots[i - 1].Chunk >= slots[i].Chunk) throw new ShardInvalidException($"table entry {i} is out of order");
        }
        long end = 0;
        foreach (var slot in slots.OrderBy(slot => slot.Offset))
        {
            if (slot.Offset != end) throw new ShardInvalidException($"a gap or overlap at byte {end}");
            end += ShardFrame.HeaderBytes + slot.StoredLength;
        }
        if (end + bytes.Length + TrailerBytes != fileBytes) throw new ShardInvalidException($"its frames end at byte {end}, not where the table begins");
        return new ShardTable(ImmutableArray.Create(slots), bytes.ToArray());
    }
}
