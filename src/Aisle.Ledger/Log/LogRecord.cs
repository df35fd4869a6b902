using Aisle.Artifacts;
using System.Buffers.Binary;

namespace Aisle.Ledger.Log;

internal enum RecordKind : byte
{
    /// <summary>One entry: a JSON array of commands that were flushed together.</summary>
    Batch = 1,

    /// <summary>No content: says that the entry of its index was flushed. Without it, a last entry gone bad looks like one torn while writing.</summary>
    Seal = 2,

    /// <summary>No content: the log goes on in the next segment. Without it, a lost newest segment would go unnoticed.</summary>
    Continued = 3,
}

/// <summary>
/// One record as it stands in a segment, integers little-endian:
/// length of payload u32 · CRC-32C u32 of all else · term u64 · index u64 · kind u8 · payload.
/// A length of 0 with kind 0 is the zero fill after the last record.
/// </summary>
internal readonly ref struct LogRecord
{
    public const int HeaderBytes = 25;
    public const int MaxPayloadBytes = 16 << 20;

    /// <summary>There is one member and so one term; a replicated log counts them.</summary>
    public const long Term = 1;

    private const int CrcAt = 4, TermAt = 8, IndexAt = 16, KindAt = 24;

    public RecordKind Kind { get; private init; }

    public long Index { get; private init; }

    public ReadOnlySpan<byte> Payload { get; private init; }

    public int SizeBytes => HeaderBytes + Payload.Length;

    /// <summary>The newest entry that was surely flushed, seeing that this record exists: a batch is written only after the one before it was flushed.</summary>
    public long Proves => Kind == RecordKind.Batch ? Index - 1 : Index;

    /// <summary>Fills in the header of <paramref name="record"/>, whose payload is in place behind the first <see cref="HeaderBytes"/> bytes.</summary>
    public static void WriteHeader(Span<byte> record, RecordKind kind, long index)
    {
        BinaryPrimitives.WriteInt32LittleEndian(record, record.Length - HeaderBytes);
        BinaryPrimitives.WriteInt64LittleEndian(record[TermAt..], Term);
        BinaryPrimitives.WriteInt64LittleEndian(record[IndexAt..], index);
        record[KindAt] = (byte)kind;
        BinaryPrimitives.WriteUInt32LittleEndian(record[CrcAt..], Checksum(record));
    }

    /// <summary>Reads the record at the start of <paramref name="bytes"/>; false when there is no whole and unharmed one.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out LogRecord record)
    {
        record = default;
        if (bytes.Length < HeaderBytes) return false;
        // The cheap fields first: the search for records behind a bad one asks this at every byte.
        if (bytes[KindAt] is < (byte)RecordKind.Batch or > (byte)RecordKind.Continued) return false;
        if (BinaryPrimitives.ReadInt64LittleEndian(bytes[TermAt..]) != Term) return false;
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        var index = BinaryPrimitives.ReadInt64LittleEndian(bytes[IndexAt..]);
        if (length is < 0 or > MaxPayloadBytes || length > bytes.Length - HeaderBytes || index < 0) return false;
        bytes = bytes[..(HeaderBytes + length)];
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[CrcAt..]) != Checksum(bytes)) return false;
        record = new LogRecord { Kind = (RecordKind)bytes[KindAt], Index = index, Payload = bytes[HeaderBytes..] };
        return true;
    }

    private static uint Checksum(ReadOnlySpan<byte> record) =>
        Crc32C.Finish(Crc32C.Add(Crc32C.Add(Crc32C.Start, record[..CrcAt]), record[TermAt..]));
}
