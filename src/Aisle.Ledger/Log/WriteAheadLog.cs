using Aisle.Artifacts;
using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Aisle.Ledger.Log;

/// <summary>
/// Entries in order on one disk: append, flush, cut. Knows no command and no state. Not thread-safe: one loop owns it.
/// Every failure is an <see cref="IOException"/> after which the log must not be used again: a failed flush may have dropped the pages.
/// </summary>
internal sealed partial class WriteAheadLog : IDisposable
{
    // Zeros are written ahead of the records: then most flushes need not change the file's length, which costs a second write on most file systems.
    private const int FillBytes = 64 << 10;

    private readonly string _directory;
    private readonly ArrayBufferWriter<byte> _record = new(64 << 10);
    private readonly byte[] _zeros = new byte[FillBytes];
    private SafeFileHandle _file;
    private long _end;        // where the next record goes
    private long _filledTo;   // file length: zeros from _end to here

    private WriteAheadLog(string directory, SafeFileHandle file, long end, long filledTo, long lastIndex)
    {
        _directory = directory;
        _file = file;
        _end = end;
        _filledTo = filledTo;
        LastIndex = lastIndex;
    }

    /// <summary>Index of the newest entry; the first one is 1.</summary>
    public long LastIndex { get; private set; }

    /// <summary>Bytes of header and records in the segment that is being written.</summary>
    public long SegmentBytes => _end;

    /// <summary>Writes one entry that carries <paramref name="commands"/>. Not a promise before <see cref="Flush"/>.</summary>
    public void Append(IReadOnlyList<ReadOnlyMemory<byte>> commands)
    {
        Begin();
        for (var i = 0; i < commands.Count; i++)
        {
            _record.Write(i == 0 ? "["u8 : ","u8);
            _record.Write(commands[i].Span);
        }
        _record.Write("]"u8);
        Write(RecordKind.Batch, LastIndex + 1);
        LastIndex++;
    }

    /// <summary>Returns when everything appended is on the disk.</summary>
    public void Flush() => RandomAccess.FlushToDisk(_file);

    /// <summary>Notes that the newest entry was flushed. It only sharpens what recovery can tell, so it needs no flush of its own, and no room either.</summary>
    public void Seal()
    {
        if (_end + LogRecord.HeaderBytes <= _filledTo) WriteMark(RecordKind.Seal);
    }

    /// <summary>Goes on in a new segment. Everything appended must be flushed.</summary>
    public void Roll()
    {
        var (file, end, filledTo) = Create(_directory, LastIndex + 1);
        WriteMark(RecordKind.Continued);
        _file.Dispose();
        (_file, _end, _filledTo) = (file, end, filledTo);
    }

    /// <summary>Deletes the segments that hold nothing newer than <paramref name="index"/>; the one being written stays.</summary>
    public void CutThrough(long index)
    {
        var segments = LogSegment.List(_directory);
        var cut = false;
        for (var i = 0; i + 1 < segments.Count && segments[i + 1].First <= index + 1; i++)
        {
            File.Delete(segments[i].Path);
            cut = true;
        }
        if (cut) DurableDirectory.Flush(_directory);
    }

    public void Dispose() => _file.Dispose();

    private void WriteMark(RecordKind kind)
    {
        Begin();
        Write(kind, LastIndex);
    }

    private void Begin()
    {
        _record.ResetWrittenCount();
        _record.GetSpan(LogRecord.HeaderBytes)[..LogRecord.HeaderBytes].Clear();
        _record.Advance(LogRecord.HeaderBytes);
    }

    private void Write(RecordKind kind, long index)
    {
        // The buffer is this log's own, so its written part may be completed in place.
        var record = System.Runtime.InteropServices.MemoryMarshal.AsMemory(_record.WrittenMemory);
        LogRecord.WriteHeader(record.Span, kind, index);
        while (_end + record.Length > _filledTo)
        {
            RandomAccess.Write(_file, _zeros, _filledTo);
            _filledTo += FillBytes;
        }
        RandomAccess.Write(_file, record.Span, _end);
        _end += record.Length;
    }

    private static (SafeFileHandle File, long End, long FilledTo) Create(string directory, long first)
    {
        var file = OpenSegment(Path.Combine(directory, LogSegment.NameOf(first)), FileMode.Create);
        try
        {
            var start = new byte[FillBytes];
            LogSegment.WriteHeader(start, first);
            RandomAccess.Write(file, start, 0);
            RandomAccess.FlushToDisk(file);
            DurableDirectory.Flush(directory);
            return (file, LogSegment.HeaderBytes, FillBytes);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    // Readable by others while it is open: the directory's lock keeps writers out, and a copy for a backup is welcome.
    private static SafeFileHandle OpenSegment(string path, FileMode mode) => File.OpenHandle(path, mode, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete);
}
