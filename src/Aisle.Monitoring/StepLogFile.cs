using System.Buffers.Binary;
using Aisle.Artifacts;

namespace Aisle.Monitoring;

/// <summary>
/// A step log as bytes: 16 of header (magic, version, CRC-32C), then 64 an entry, each with its own CRC. Appending keeps what was there; a torn last
/// entry, as a killed process leaves it, is dropped when the file is opened. Not thread-safe.
/// </summary>
public sealed class StepLogFile : IDisposable
{
    public const string Name = "steps.log";
    private const int HeaderBytes = 16;
    private const int EntryBytes = 64;
    private const uint Version = 1;
    private static readonly byte[] s_magic = "AISLESTP"u8.ToArray();
    private readonly string _path;
    private FileStream _file;

    private StepLogFile(string path, FileStream file, StepLog log) => (_path, _file, Log) = (path, file, log);

    public StepLog Log { get; private set; }

    /// <summary>Goes on with the file, or begins it; the folder must exist.</summary>
    /// <exception cref="AisleException">AISLE-5181: what is there is not a step log.</exception>
    public static StepLogFile Open(string path, int capacity = StepLog.DefaultCapacity)
    {
        var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        try
        {
            var log = new StepLog(capacity);
            if (file.Length > 0)
            {
                var bytes = new byte[Math.Min(file.Length, LargestBytes(capacity))];
                file.ReadExactly(bytes);
                file.SetLength(Read(bytes, log, mayBeTorn: true));
                file.Seek(0, SeekOrigin.End);
            }
            else
            {
                file.Write(Header());
            }
            return new StepLogFile(path, file, log);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <exception cref="AisleException">AISLE-5181: not a step log, or damaged.</exception>
    public static StepLog Parse(ReadOnlySpan<byte> bytes, int capacity = StepLog.DefaultCapacity)
    {
        var log = new StepLog(capacity);
        Read(bytes, log, mayBeTorn: false);
        return log;
    }

    public static byte[] ToBytes(StepLog log)
    {
        var bytes = new byte[HeaderBytes + log.Steps.Count * EntryBytes];
        Header().CopyTo(bytes, 0);
        for (var i = 0; i < log.Steps.Count; i++) Write(log.Steps[i], bytes.AsSpan(HeaderBytes + i * EntryBytes, EntryBytes));
        return bytes;
    }

    /// <summary>Adds the step to the log, and to the file where it is new. Handed to the operating system, not flushed to disk.</summary>
    public StepAdded Add(in StepFigures figures)
    {
        var added = Log.Add(figures);
        switch (added)
        {
            case StepAdded.Added:
                Span<byte> entry = stackalloc byte[EntryBytes];
                Write(figures, entry);
                _file.Write(entry);
                _file.Flush();
                break;
            case StepAdded.Thinned or StepAdded.ThinnedAndLeftOut:
                Rewrite();
                break;
        }
        return added;
    }

    public void Dispose() => _file.Dispose();

    private void Rewrite()
    {
        var part = _path + ".part";
        File.WriteAllBytes(part, ToBytes(Log));
        _file.Dispose();
        File.Move(part, _path, overwrite: true);
        _file = new FileStream(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
        _file.Seek(0, SeekOrigin.End);
    }

    private static long LargestBytes(int capacity) => HeaderBytes + (long)capacity * EntryBytes;

    /// <returns>Length of the sound part.</returns>
    private static long Read(ReadOnlySpan<byte> bytes, StepLog log, bool mayBeTorn)
    {
        if (bytes.Length < HeaderBytes || !bytes[..HeaderBytes].SequenceEqual(Header())) throw Malformed("its header is not one");
        if (bytes.Length > LargestBytes(log.Capacity)) throw Malformed($"{bytes.Length} bytes are more than {log.Capacity} steps");
        var sound = HeaderBytes;
        for (; bytes.Length - sound >= EntryBytes; sound += EntryBytes)
        {
            var entry = bytes.Slice(sound, EntryBytes);
            var isLast = bytes.Length - sound < 2 * EntryBytes;
            if (Crc32C.Of(entry[..^sizeof(uint)]) != BinaryPrimitives.ReadUInt32LittleEndian(entry[^sizeof(uint)..]))
            {
                if (mayBeTorn && isLast) return sound;
                throw Malformed($"entry {(sound - HeaderBytes) / EntryBytes} is damaged");
            }
            if (log.Add(Read(entry)) is StepAdded.Contradicts) throw Malformed("it tells a step twice, with different weights");
        }
        if (sound != bytes.Length && !mayBeTorn) throw Malformed("its last entry is cut off");
        return sound;
    }

    private static byte[] Header()
    {
        var header = new byte[HeaderBytes];
        s_magic.CopyTo(header, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), Version);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(12), Crc32C.Of(header.AsSpan(0, 12)));
        return header;
    }

    // step, time in 100 ns since 0001 UTC, hash, loss, learning rate, gradient norm, tokens/s as float, workers and the skipped flag, CRC
    private static void Write(in StepFigures step, Span<byte> entry)
    {
        BinaryPrimitives.WriteInt64LittleEndian(entry, step.Step);
        BinaryPrimitives.WriteInt64LittleEndian(entry[8..], step.At.UtcTicks);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], step.WeightsHash);
        BinaryPrimitives.WriteDoubleLittleEndian(entry[24..], step.Loss);
        BinaryPrimitives.WriteDoubleLittleEndian(entry[32..], step.LearningRate);
        BinaryPrimitives.WriteDoubleLittleEndian(entry[40..], step.GradientNorm);
        BinaryPrimitives.WriteSingleLittleEndian(entry[48..], (float)step.TokensPerSecond);
        BinaryPrimitives.WriteInt32LittleEndian(entry[52..], step.Workers);
        BinaryPrimitives.WriteInt32LittleEndian(entry[56..], step.Skipped ? 1 : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[60..], Crc32C.Of(entry[..60]));
    }

    private static StepFigures Read(ReadOnlySpan<byte> entry)
    {
        var (step, ticks) = (BinaryPrimitives.ReadInt64LittleEndian(entry), BinaryPrimitives.ReadInt64LittleEndian(entry[8..]));
        if (step < 0 || ticks < 0 || ticks > DateTimeOffset.MaxValue.Ticks) throw Malformed($"step {step} at {ticks} is out of range");
        return new StepFigures(
            step, new DateTimeOffset(ticks, TimeSpan.Zero), BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]), BinaryPrimitives.ReadDoubleLittleEndian(entry[24..]),
            BinaryPrimitives.ReadDoubleLittleEndian(entry[32..]), BinaryPrimitives.ReadDoubleLittleEndian(entry[40..]), BinaryPrimitives.ReadSingleLittleEndian(entry[48..]),
            BinaryPrimitives.ReadInt32LittleEndian(entry[52..]), BinaryPrimitives.ReadInt32LittleEndian(entry[56..]) != 0);
    }

    private static AisleException Malformed(string what) => new("AISLE-5181", $"This is not a step log: {what}.", "Give the steps.log of a run, unchanged.");
}
