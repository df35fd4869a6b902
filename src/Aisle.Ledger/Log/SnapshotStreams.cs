using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

/// <summary>A snapshot's file on its way to a peer: any part, any time. Its checksum is inside.</summary>
internal sealed class SnapshotSource(ILedgerFile file, SnapshotHeader header) : IDisposable
{
    public LogPosition Position => header.Position;

    public long FileBytes => header.FileBytes;

    /// <returns>Bytes read; 0 at the end.</returns>
    public int Read(long offset, Span<byte> into) => file.Read(into, offset);

    public void Dispose() => file.Dispose();
}

/// <summary>
/// A snapshot's file on its way from a peer. Chunks are taken in order; a peer that was cut off asks for <see cref="Offset"/> and goes on there. Until
/// <see cref="Finish"/> says true, the old state and log are what they were. Not thread-safe.
/// </summary>
internal sealed class SnapshotReceiver : IDisposable
{
    private readonly ILedgerDisk _disk;
    private readonly string _partial;
    private ILedgerFile? _file;

    internal SnapshotReceiver(ILedgerDisk disk, LogPosition position, long fileBytes, string partial)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(fileBytes, SnapshotHeader.Bytes);
        (_disk, Position, FileBytes, _partial) = (disk, position, fileBytes, partial);
        _file = disk.Open(partial, create: true);
    }

    public LogPosition Position { get; }

    public long FileBytes { get; }

    /// <summary>Bytes that are here: the offset of the chunk that is wanted next.</summary>
    public long Offset { get; private set; }

    /// <summary>Takes a chunk. One that does not begin at <see cref="Offset"/> or is longer than what is missing is left: an earlier attempt may still be on its way.</summary>
    /// <returns>Whether it was taken.</returns>
    public bool Take(long offset, ReadOnlySpan<byte> chunk)
    {
        if (_file is null || offset != Offset || chunk.Length > FileBytes - Offset) return false;
        _file.Write(chunk, offset);
        Offset += chunk.Length;
        return true;
    }

    /// <summary>Checks the whole file and gives it its name. When it says true, the snapshot will be found after any crash; tell the log by
    /// <see cref="WriteAheadLog.Mark"/> next. When it says false, what came was not what was sent and is thrown away.</summary>
    public bool Finish()
    {
        if (_file is null || Offset != FileBytes) return false;
        var path = _disk.PathOf(_partial);
        var whole = SnapshotFiles.ReadHeader(_file, path) is { } header && header.Position == Position && header.FileBytes == FileBytes
            && new LedgerFileStream(_file, SnapshotHeader.Bytes).Drain() == header.Crc;
        if (whole) _file.Flush();
        _file.Dispose();
        _file = null;
        if (whole) _disk.Rename(_partial, SnapshotFiles.NameOf(Position.Index));
        else _disk.Delete(_partial);
        _disk.FlushDirectory();
        return whole;
    }

    public void Dispose()
    {
        if (_file is null) return;
        _file.Dispose();
        _file = null;
        _disk.Delete(_partial);
    }
}
