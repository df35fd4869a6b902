using Aisle.Artifacts;
using System.Buffers.Binary;
using System.Globalization;

namespace Aisle.Ledger.Log;

/// <summary>
/// A segment's name and header. The file <c>log-00000000000000000042.seg</c> begins with entry 42; its header is
/// magic 8 bytes · format u32 · first index u64 · CRC-32C u32 of these. Records follow, then zeros.
/// </summary>
internal static class LogSegment
{
    public const int HeaderBytes = 24;
    public const uint Format = 1;

    private const int FormatAt = 8, FirstAt = 12, CrcAt = 20;

    private static ReadOnlySpan<byte> Magic => "AISLELOG"u8;

    public static string NameOf(long first) => string.Create(CultureInfo.InvariantCulture, $"log-{first:D20}.seg");

    /// <summary>The segments of a directory, oldest first. Files with other names are left alone.</summary>
    public static IReadOnlyList<(long First, string Path)> List(string directory) => NumberedFiles.List(directory, "log-", ".seg");

    public static void WriteHeader(Span<byte> header, long first)
    {
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[FormatAt..], Format);
        BinaryPrimitives.WriteInt64LittleEndian(header[FirstAt..], first);
        BinaryPrimitives.WriteUInt32LittleEndian(header[CrcAt..], Crc32C.Of(header[..CrcAt]));
    }

    /// <returns>False when the header is torn or damaged.</returns>
    /// <exception cref="AisleException">AISLE-2055: a whole header of a format this program does not know.</exception>
    public static bool TryReadHeader(ReadOnlySpan<byte> bytes, string path, out long first)
    {
        first = 0;
        if (bytes.Length < HeaderBytes || !bytes.StartsWith(Magic)) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[CrcAt..]) != Crc32C.Of(bytes[..CrcAt])) return false;
        var format = BinaryPrimitives.ReadUInt32LittleEndian(bytes[FormatAt..]);
        if (format != Format)
        {
            throw new AisleException(LedgerCodes.UnknownFormat, $"{path} has log format {format}; this program knows {Format}.",
                "Start the version of aisle that wrote it, or a newer one.");
        }
        first = BinaryPrimitives.ReadInt64LittleEndian(bytes[FirstAt..]);
        return true;
    }
}
