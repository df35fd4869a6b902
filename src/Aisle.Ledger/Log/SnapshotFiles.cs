using Aisle.Artifacts;
using System.Buffers.Binary;
using System.Collections.Immutable;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>What a snapshot file begins with. <paramref name="BodyBytes"/> and <paramref name="Crc"/> are of all behind the header, membership included.</summary>
internal readonly record struct SnapshotHeader(LogPosition Position, int MembershipBytes, long BodyBytes, uint Crc)
{
    public const int Bytes = 56;
    public const uint Format = 2;
    public const int MaxMembershipBytes = 1 << 20;

    private const int FormatAt = 8, MembershipAt = 12, IndexAt = 16, TermAt = 24, BodyAt = 32, BodyCrcAt = 40, HeaderCrcAt = 52;

    private static ReadOnlySpan<byte> Magic => "AISLESNP"u8;

    public long FileBytes => Bytes + BodyBytes;

    public void Write(Span<byte> to)
    {
        to[..Bytes].Clear();
        Magic.CopyTo(to);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FormatAt..], Format);
        BinaryPrimitives.WriteInt32LittleEndian(to[MembershipAt..], MembershipBytes);
        BinaryPrimitives.WriteInt64LittleEndian(to[IndexAt..], Position.Index);
        BinaryPrimitives.WriteInt64LittleEndian(to[TermAt..], Position.Term);
        BinaryPrimitives.WriteInt64LittleEndian(to[BodyAt..], BodyBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(to[BodyCrcAt..], Crc);
        BinaryPrimitives.WriteUInt32LittleEndian(to[HeaderCrcAt..], Crc32C.Of(to[..HeaderCrcAt]));
    }

    /// <returns>Null when the bytes are no header that was written.</returns>
    /// <exception cref="AisleException">AISLE-2055: whole, and of a format this program does not know.</exception>
    public static SnapshotHeader? Read(ReadOnlySpan<byte> bytes, string path)
    {
        if (bytes.Length < 36 || !bytes.StartsWith(Magic)) return null;
        var format = BinaryPrimitives.ReadUInt32LittleEndian(bytes[FormatAt..]);
        // Format 1 had its header's checksum elsewhere.
        var crcAt = format == 1 ? 32 : HeaderCrcAt;
        if (bytes.Length < crcAt + 4 || BinaryPrimitives.ReadUInt32LittleEndian(bytes[crcAt..]) != Crc32C.Of(bytes[..crcAt])) return null;
        if (format != Format)
        {
            throw new AisleException(LedgerCodes.UnknownFormat, $"{path} has snapshot format {format}; this program knows {Format}.",
                "Start the version of aisle that wrote it, or a newer one.");
        }
        var header = new SnapshotHeader(
            new LogPosition(BinaryPrimitives.ReadInt64LittleEndian(bytes[TermAt..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[IndexAt..])),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[MembershipAt..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[BodyAt..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[BodyCrcAt..]));
        return header.MembershipBytes is >= 0 and <= MaxMembershipBytes && header.BodyBytes >= header.MembershipBytes && header.Position is { Index: > 0, Term: > 0 } ? header : null;
    }
}

/// <summary>
/// Whole states on disk. The file <c>snapshot-00000000000000000042.snap</c> is the state after entry 42: <see cref="SnapshotHeader"/>, the members as the
/// consensus wrote them, the state as its codec wrote it. It appears under its name only when it is whole and flushed.
/// </summary>
internal static class SnapshotFiles
{
    private const string Prefix = "snapshot-", Suffix = ".snap", Unfinished = ".tmp", Partial = ".part";

    /// <summary>A snapshot that was read.</summary>
    public sealed record Found<T>(LogPosition Position, ReadOnlyMemory<byte> Membership, T State);

    public static string NameOf(long index) => NumberedFiles.NameOf(Prefix, index, Suffix);

    /// <summary>Indexes of the snapshot files, whole or not, oldest first.</summary>
    public static IReadOnlyList<long> List(ILedgerDisk disk) => NumberedFiles.List(disk, Prefix, Suffix);

    /// <summary>Reads the newest whole snapshot, null when there is none, and removes what unfinished ones left.</summary>
    /// <param name="damaged">Newer snapshots whose bytes are not what was written.</param>
    /// <exception cref="AisleException">AISLE-2055: whole, and of a format this program does not know.</exception>
    public static Found<T>? ReadNewest<T>(ILedgerDisk disk, Func<Stream, T> read, out ImmutableArray<string> damaged)
    {
        foreach (var name in disk.List().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)
            && (name.EndsWith(Unfinished, StringComparison.Ordinal) || name.EndsWith(Partial, StringComparison.Ordinal)))) disk.Delete(name);
        var bad = ImmutableArray.CreateBuilder<string>();
        Found<T>? found = null;
        foreach (var index in List(disk).Reverse())
        {
            found = Read(disk, index, read);
            if (found is not null) break;
            bad.Add(disk.PathOf(NameOf(index)));
        }
        damaged = bad.ToImmutable();
        return found;
    }

    /// <summary>Writes a snapshot; when it returns it will be found after any crash.</summary>
    /// <returns>Bytes of the file.</returns>
    public static long Write(ILedgerDisk disk, LogPosition position, ReadOnlySpan<byte> membership, Action<Stream> write)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(membership.Length, SnapshotHeader.MaxMembershipBytes, nameof(membership));
        var name = NameOf(position.Index);
        long length;
        using (var file = disk.Open(name + Unfinished, create: true))
        {
            var stream = new LedgerFileStream(file, SnapshotHeader.Bytes);
            stream.Write(membership);
            write(stream);
            stream.Flush();
            length = stream.Position;
            var header = new byte[SnapshotHeader.Bytes];
            new SnapshotHeader(position, membership.Length, length - SnapshotHeader.Bytes, stream.Crc).Write(header);
            file.Write(header, 0);
            file.Flush();
        }
        disk.Rename(name + Unfinished, name);
        disk.FlushDirectory();
        return length;
    }

    /// <summary>Deletes the snapshots older than <paramref name="index"/>.</summary>
    public static void DeleteBefore(ILedgerDisk disk, long index)
    {
        var cut = false;
        foreach (var older in List(disk).Where(older => older < index))
        {
            disk.Delete(NameOf(older));
            cut = true;
        }
        if (cut) disk.FlushDirectory();
    }

    /// <summary>Opens a snapshot to send its file to a peer, from any offset. It stays readable until it is disposed, deleted or not.</summary>
    /// <returns>Null when there is none of that index, or its header is damaged.</returns>
    public static SnapshotSource? OpenSource(ILedgerDisk disk, long index)
    {
        if (!List(disk).Contains(index)) return null;
        var file = disk.Open(NameOf(index));
        if (ReadHeader(file, disk.PathOf(NameOf(index))) is { } header && header.Position.Index == index && header.FileBytes == file.Length) return new SnapshotSource(file, header);
        file.Dispose();
        return null;
    }

    /// <summary>Begins to receive a snapshot's file from a peer. What an earlier attempt left is thrown away: after a restart it begins at zero.</summary>
    public static SnapshotReceiver Receive(ILedgerDisk disk, LogPosition position, long fileBytes) => new(disk, position, fileBytes, NameOf(position.Index) + Partial);

    internal static SnapshotHeader? ReadHeader(ILedgerFile file, string path)
    {
        var bytes = new byte[SnapshotHeader.Bytes];
        var read = file.Read(bytes, 0);
        return SnapshotHeader.Read(bytes.AsSpan(0, read), path);
    }

    /// <returns>Null when the bytes are not what was written.</returns>
    private static Found<T>? Read<T>(ILedgerDisk disk, long index, Func<Stream, T> read)
    {
        var path = disk.PathOf(NameOf(index));
        using var file = disk.Open(NameOf(index));
        if (ReadHeader(file, path) is not { } header || header.Position.Index != index || header.FileBytes != file.Length) return null;
        var stream = new LedgerFileStream(file, SnapshotHeader.Bytes);
        var membership = new byte[header.MembershipBytes];
        stream.ReadExactly(membership);
        T state;
        try
        {
            state = read(stream);
        }
        catch (AisleException e)
        {
            // Read and checked in one pass. Whose fault it is shows at the end.
            if (stream.Drain() != header.Crc) return null;
            throw new AisleException(LedgerCodes.UnknownFormat, $"{path} is whole, and this program cannot read it: {e.What}",
                "Start the version of aisle that wrote it, or a newer one.", e);
        }
        return stream.Drain() == header.Crc ? new Found<T>(header.Position, membership, state) : null;
    }
}
