using Aisle.Artifacts;
using System.Buffers;
using System.Buffers.Binary;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>
/// One entry as it stands in the log and as it travels to a peer, integers little-endian:
/// CRC-32C u32 of all that follows · length of payload u32 · term u64 · index u64 · kind u8 · 7 zeros · payload · zeros to a multiple of 8.
/// </summary>
internal static class EntryCodec
{
    public const int HeaderBytes = 32;

    /// <summary>A larger length is never believed.</summary>
    public const int MaxPayloadBytes = 16 << 20;

    private const int LengthAt = 4, TermAt = 8, IndexAt = 16, KindAt = 24;

    public static int SizeOf(Entry entry) => HeaderBytes + Padded(entry.Payload.Length);

    public static void Write(Entry entry, IBufferWriter<byte> to)
    {
        var size = SizeOf(entry);
        var record = to.GetSpan(size)[..size];
        record.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(record[LengthAt..], entry.Payload.Length);
        BinaryPrimitives.WriteInt64LittleEndian(record[TermAt..], entry.Term);
        BinaryPrimitives.WriteInt64LittleEndian(record[IndexAt..], entry.Index);
        record[KindAt] = (byte)entry.Kind;
        entry.Payload.Span.CopyTo(record[HeaderBytes..]);
        BinaryPrimitives.WriteUInt32LittleEndian(record, Crc32C.Of(record[LengthAt..]));
        to.Advance(size);
    }

    /// <summary>Where an entry begins and how long it claims to be, its checksum not yet looked at; false when that makes no sense.</summary>
    public static bool TryMeasure(ReadOnlySpan<byte> bytes, out long term, out long index, out int size)
    {
        (term, index, size) = (0, 0, 0);
        if (bytes.Length < HeaderBytes) return false;
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes[LengthAt..]);
        if (length is < 0 or > MaxPayloadBytes || Padded(length) > bytes.Length - HeaderBytes) return false;
        term = BinaryPrimitives.ReadInt64LittleEndian(bytes[TermAt..]);
        index = BinaryPrimitives.ReadInt64LittleEndian(bytes[IndexAt..]);
        size = HeaderBytes + Padded(length);
        return term > 0 && index > 0;
    }

    public static bool IsWhole(ReadOnlySpan<byte> record) =>
        BinaryPrimitives.ReadUInt32LittleEndian(record) == Crc32C.Of(record[LengthAt..]);

    /// <summary>Reads the entry at the start of <paramref name="bytes"/>; its payload is a part of them. False when there is no whole and unharmed one.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> bytes, out Entry entry, out int size)
    {
        entry = null!;
        if (!TryMeasure(bytes.Span, out var term, out var index, out size) || !IsWhole(bytes.Span[..size])) return false;
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes.Span[LengthAt..]);
        entry = new Entry(term, index, (EntryKind)bytes.Span[KindAt], bytes.Slice(HeaderBytes, length));
        return true;
    }

    private static int Padded(int length) => (length + 7) & ~7;
}
