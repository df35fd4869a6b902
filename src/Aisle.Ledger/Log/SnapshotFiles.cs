using Aisle.Artifacts;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;

namespace Aisle.Ledger.Log;

/// <summary>
/// Whole states on disk. The file <c>snapshot-00000000000000000042.snap</c> is the state after entry 42:
/// magic 8 bytes · format u32 · index u64 · payload length u64 · CRC-32C u32 of the payload · CRC-32C u32 of the header so far, then the payload.
/// It appears under its name only when it is whole and flushed.
/// </summary>
internal static class SnapshotFiles
{
    public const int HeaderBytes = 36;
    public const uint Format = 1;

    private const string Prefix = "snapshot-", Suffix = ".snap", Unfinished = ".tmp";
    private const int FormatAt = 8, IndexAt = 12, LengthAt = 20, PayloadCrcAt = 28, HeaderCrcAt = 32;

    private static ReadOnlySpan<byte> Magic => "AISLESNP"u8;

    /// <summary>What opening found. <paramref name="Index"/> 0 and the empty state when no snapshot is whole.</summary>
    /// <param name="NewestIndex">Index of the newest snapshot file, whole or not.</param>
    /// <param name="Damaged">Snapshots newer than the one in use whose bytes are not what was written.</param>
    public readonly record struct Found(long Index, LedgerState State, long NewestIndex, ImmutableArray<string> Damaged);

    /// <summary>Reads the newest whole snapshot and removes what unfinished ones left.</summary>
    /// <exception cref="AisleException">AISLE-2055: whole, and of a format this program does not know.</exception>
    public static Found ReadNewest(string directory)
    {
        foreach (var left in Directory.EnumerateFiles(directory, Prefix + "*" + Unfinished)) File.Delete(left);
        var files = NumberedFiles.List(directory, Prefix, Suffix);
        var newest = files.Count > 0 ? files[^1].Index : 0;
        var damaged = ImmutableArray.CreateBuilder<string>();
        foreach (var (index, path) in files.Reverse())
        {
            if (Read(path, index) is { } state) return new Found(index, state, newest, damaged.ToImmutable());
            damaged.Add(path);
        }
        return new Found(0, LedgerState.Empty, newest, damaged.ToImmutable());
    }

    /// <summary>Writes the state after entry <paramref name="index"/>; when it returns the snapshot will be found after any crash.</summary>
    /// <returns>Bytes of the file.</returns>
    public static long Write(string directory, long index, LedgerState state)
    {
        var path = PathOf(directory, index);
        var unfinished = path + Unfinished;
        long length;
        using (var file = new FileStream(unfinished, FileMode.Create, FileAccess.ReadWrite, FileShare.None))
        {
            var header = new byte[HeaderBytes];
            file.Write(header);
            var checksum = new ChecksumStream(file);
            LedgerCodec.Write(state, checksum);
            length = file.Position;

            Magic.CopyTo(header);
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(FormatAt), Format);
            BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(IndexAt), index);
            BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(LengthAt), length - HeaderBytes);
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(PayloadCrcAt), checksum.Crc);
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(HeaderCrcAt), Crc32C.Of(header.AsSpan(0, HeaderCrcAt)));
            file.Position = 0;
            file.Write(header);
            file.Flush(flushToDisk: true);
        }
        File.Move(unfinished, path, overwrite: true);
        DurableDirectory.Flush(directory);
        return length;
    }

    /// <summary>Deletes the snapshots older than <paramref name="index"/>.</summary>
    public static void DeleteBefore(string directory, long index)
    {
        var cut = false;
        foreach (var (older, path) in NumberedFiles.List(directory, Prefix, Suffix))
        {
            if (older >= index) break;
            File.Delete(path);
            cut = true;
        }
        if (cut) DurableDirectory.Flush(directory);
    }

    private static string PathOf(string directory, long index) =>
        Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{index:D20}{Suffix}"));

    /// <returns>Null when the bytes are not what was written.</returns>
    private static LedgerState? Read(string path, long index)
    {
        ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
        if (bytes.Length < HeaderBytes || !bytes.StartsWith(Magic)) return null;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[HeaderCrcAt..]) != Crc32C.Of(bytes[..HeaderCrcAt])) return null;
        var format = BinaryPrimitives.ReadUInt32LittleEndian(bytes[FormatAt..]);
        if (format != Format)
        {
            throw new AisleException(LedgerCodes.UnknownFormat, $"{path} has snapshot format {format}; this program knows {Format}.",
                "Start the version of aisle that wrote it, or a newer one.");
        }
        var payload = bytes[HeaderBytes..];
        if (BinaryPrimitives.ReadInt64LittleEndian(bytes[IndexAt..]) != index
            || BinaryPrimitives.ReadInt64LittleEndian(bytes[LengthAt..]) != payload.Length
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[PayloadCrcAt..]) != Crc32C.Of(payload)) return null;
        try
        {
            return LedgerCodec.ReadState(payload);
        }
        catch (AisleException e)
        {
            throw new AisleException(LedgerCodes.UnknownFormat, $"{path} is whole, and this program cannot read it: {e.What}",
                "Start the version of aisle that wrote it, or a newer one.", e);
        }
    }

    /// <summary>Passes bytes on and keeps their checksum, so that a state is never a second time in memory as text.</summary>
    private sealed class ChecksumStream(Stream to) : Stream
    {
        private uint _crc = Crc32C.Start;

        public uint Crc => Crc32C.Finish(_crc);

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _crc = Crc32C.Add(_crc, buffer);
            to.Write(buffer);
        }

        public override void Flush() => to.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
