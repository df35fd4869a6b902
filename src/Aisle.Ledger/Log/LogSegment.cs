using Aisle.Artifacts;
using System.Buffers.Binary;
using System.Globalization;

namespace Aisle.Ledger.Log;

/// <summary>
/// A segment's name and header. Segments are numbered from 1 without a gap: <c>log-00000000000000000042.seg</c>. By number and not by first entry, since a
/// truncation lets a later segment begin with an earlier entry. Header: magic 8 bytes · format u32 · number u64 · CRC-32C u32 of these · zeros to 64 bytes.
/// Frames follow, then zeros.
/// </summary>
internal static class LogSegment
{
    public const int HeaderBytes = 64;
    public const uint Format = 2;

    private const string Prefix = "log-", Suffix = ".seg";
    private const int FormatAt = 8, NumberAt = 12, CrcAt = 20;

    private static ReadOnlySpan<byte> Magic => "AISLELOG"u8;

    public static string NameOf(long number) => NumberedFiles.NameOf(Prefix, number, Suffix);

    /// <summary>The numbers of a directory's segments, oldest first. Files with other names are left alone.</summary>
    public static IReadOnlyList<long> List(ILedgerDisk disk) => NumberedFiles.List(disk, Prefix, Suffix);

    public static void WriteHeader(Span<byte> header, long number)
    {
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[FormatAt..], Format);
        BinaryPrimitives.WriteInt64LittleEndian(header[NumberAt..], number);
        BinaryPrimitives.WriteUInt32LittleEndian(header[CrcAt..], Crc32C.Of(header[..CrcAt]));
    }

    /// <summary>A damaged header is passed over: the name tells the number, and each frame proves itself.</summary>
    /// <exception cref="AisleException">AISLE-2055: a whole header of a format this program does not know.</exception>
    public static void CheckHeader(ReadOnlySpan<byte> bytes, string path)
    {
        if (bytes.Length < CrcAt + 4 || !bytes.StartsWith(Magic)) return;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[CrcAt..]) != Crc32C.Of(bytes[..CrcAt])) return;
        var format = BinaryPrimitives.ReadUInt32LittleEndian(bytes[FormatAt..]);
        if (format < Format)
        {
            throw new AisleException(LedgerCodes.UnknownFormat, $"{path} has log format {format}, of before members could agree on a log; this program writes {Format} and does not read that one.",
                "Go on with the version of aisle that wrote it, or move the directory away: content is kept, and names are put again from it.");
        }
        if (format != Format)
        {
            throw new AisleException(LedgerCodes.UnknownFormat, $"{path} has log format {format}; this program knows {Format}.",
                "Start the version of aisle that wrote it, or a newer one.");
        }
    }
}
