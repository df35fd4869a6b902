namespace Aisle.Ledger.Log;

/// <summary>
/// Opening. Two kinds of bad bytes are told apart by proof, never by guess: where a later record proves that the bad ones had been flushed
/// (see <see cref="LogRecord.Proves"/>), or another segment follows, they are damage and the log refuses to open; else they are what a crash
/// tore while writing, nobody was promised them, and they are cut.
/// </summary>
internal sealed partial class WriteAheadLog
{
    /// <summary>Receives one entry: the JSON array of its commands.</summary>
    public delegate void Replay(ReadOnlySpan<byte> batch);

    /// <summary>Bytes that a torn write had left at the end and that opening cut.</summary>
    public long TornBytes { get; private init; }

    /// <summary>Opens the log of <paramref name="directory"/> and hands every entry after <paramref name="after"/> to <paramref name="replay"/>,
    /// in order; begins a new log where there is none.</summary>
    /// <param name="after">Index that the snapshot in use covers; 0 without one.</param>
    /// <param name="atLeast">Index that the log is known to have reached: that of the newest snapshot, whole or not.</param>
    /// <exception cref="LedgerDamagedException">Flushed bytes are gone or changed.</exception>
    /// <exception cref="AisleException">AISLE-2055: an entry or segment of a format this program does not know.</exception>
    public static WriteAheadLog Open(string directory, long after, long atLeast, Replay replay)
    {
        var segments = LogSegment.List(directory);
        if (segments.Count == 0)
        {
            if (atLeast > 0) throw new LedgerDamagedException(Path.Combine(directory, LogSegment.NameOf(atLeast + 1)), 0, "the log is missing, and a snapshot says there was one");
            var (created, start, filled) = Create(directory, first: 1);
            return new WriteAheadLog(directory, created, start, filled, lastIndex: 0);
        }
        if (segments[0].First > after + 1)
        {
            throw new LedgerDamagedException(Path.Combine(directory, LogSegment.NameOf(after + 1)), 0,
                $"entries {after + 1} to {segments[0].First - 1} are missing: no whole snapshot covers them and no segment holds them");
        }

        var last = segments[0].First - 1;
        long end = 0, length = 0, torn = 0;
        var continued = false;
        for (var i = 0; i < segments.Count; i++)
        {
            var (first, path) = segments[i];
            if (first != last + 1) throw new LedgerDamagedException(path, 0, $"it begins with entry {first}, and the segment before it ends with {last}");
            var bytes = File.ReadAllBytes(path);
            length = bytes.Length;
            end = ReadSegment(path, bytes, first, after, ref last, out continued, replay);
            var rest = bytes.AsSpan((int)end);
            if (!rest.ContainsAnyExcept((byte)0)) continue;
            if (i + 1 < segments.Count)
            {
                // A crash may tear the mark that ends a segment; where the next one goes on with the next entry, nothing is missing.
                if (segments[i + 1].First == last + 1) continue;
                throw new LedgerDamagedException(path, end, "its bytes are not a record, and a newer segment follows");
            }
            if (FindProof(rest, last) is { } proof) throw new LedgerDamagedException(path, end, $"its bytes are not a record, and entry {proof} was flushed after them");
            torn = rest.LastIndexOfAnyExcept((byte)0) + 1;
        }
        if (continued) throw new LedgerDamagedException(Path.Combine(directory, LogSegment.NameOf(last + 1)), 0, "it is missing, and the segment before it says that it was there");
        if (last < atLeast) throw new LedgerDamagedException(segments[^1].Path, end, $"the log ends with entry {last}, and a snapshot of entry {atLeast} was made from it");

        if (end == 0) return Restart(directory, segments[^1].First, torn);
        var file = OpenSegment(segments[^1].Path, FileMode.Open);
        try
        {
            // Zeros over it rather than a shorter file: on a full disk the space that the file has is all there is.
            if (torn > 0) RandomAccess.Write(file, new byte[torn], end);
            // What was read may be in memory only, if the process before this one died between its write and its flush.
            RandomAccess.FlushToDisk(file);
            return new WriteAheadLog(directory, file, end, length, last) { TornBytes = torn };
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>A newest segment without a header: the crash came while it was being made, and nothing was in it.</summary>
    private static WriteAheadLog Restart(string directory, long first, long torn)
    {
        var (file, end, filledTo) = Create(directory, first);
        return new WriteAheadLog(directory, file, end, filledTo, first - 1) { TornBytes = torn };
    }

    /// <returns>Where the whole records end; 0 when not even the header is whole.</returns>
    private static long ReadSegment(string path, ReadOnlySpan<byte> bytes, long first, long after, ref long last, out bool continued, Replay replay)
    {
        continued = false;
        if (!LogSegment.TryReadHeader(bytes, path, out var written)) return 0;
        if (written != first) throw new LedgerDamagedException(path, 0, $"its header says that it begins with entry {written}");
        var end = LogSegment.HeaderBytes;
        while (LogRecord.TryRead(bytes[end..], out var record))
        {
            var expected = record.Kind == RecordKind.Batch ? last + 1 : last;
            if (record.Index != expected) throw new LedgerDamagedException(path, end, $"entry {record.Index} stands where {expected} belongs");
            if (record.Kind == RecordKind.Batch)
            {
                last = record.Index;
                if (record.Index > after) ReplayOne(path, end, record, replay);
            }
            continued = record.Kind == RecordKind.Continued;
            end += record.SizeBytes;
        }
        return end;
    }

    private static void ReplayOne(string path, long offset, LogRecord record, Replay replay)
    {
        try
        {
            replay(record.Payload);
        }
        catch (AisleException e)
        {
            throw new AisleException(LedgerCodes.UnknownFormat, $"{path} has an entry at byte {offset} that this program cannot read: {e.What}",
                "Start the version of aisle that wrote it, or a newer one.", e);
        }
    }

    /// <summary>Looks behind bad bytes, at every position, for a record that proves an entry after <paramref name="last"/> was flushed.</summary>
    private static long? FindProof(ReadOnlySpan<byte> bytes, long last)
    {
        for (var at = 0; at + LogRecord.HeaderBytes <= bytes.Length; at++)
        {
            if (LogRecord.TryRead(bytes[at..], out var record) && record.Proves > last) return record.Proves;
        }
        return null;
    }
}
