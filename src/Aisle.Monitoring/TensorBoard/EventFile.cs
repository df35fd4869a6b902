using System.Buffers.Binary;
using System.Globalization;
using Aisle.Artifacts;

namespace Aisle.Monitoring.TensorBoard;

/// <summary>
/// A TensorBoard event file, written record by record: point TensorBoard at its folder, also while it grows. Not thread-safe; every record
/// is handed to the operating system at once, and none is flushed to disk.
/// </summary>
/// <remarks>
/// A record is its length (8 bytes), the length's masked CRC-32C (4), the event, the event's masked CRC-32C (4), little-endian. Source: TensorFlow,
/// <c>tsl/lib/io/record_writer.h</c>; the events' fields are those of <c>tensorboard/compat/proto</c> event.proto, summary.proto and tensor.proto.
/// </remarks>
public sealed class EventFile : IDisposable
{
    private const int StringType = 7; // DT_STRING
    private const int TensorData = 2; // DATA_CLASS_TENSOR
    private readonly FileStream _file;
    private readonly ProtoWriter _event = new();

    private EventFile(string path, DateTimeOffset startedAt)
    {
        Path = path;
        _file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read);
        Write(startedAt, step: 0, e => e.Text(3, "brain.Event:2"));
    }

    public string Path { get; }

    /// <summary>Makes a new file in the folder, which is made when absent.</summary>
    /// <param name="startedAt">The run's start: in the file's name, as TensorBoard orders files by it, and in its first record.</param>
    /// <exception cref="AisleException">AISLE-5180: the file cannot be made.</exception>
    public static EventFile Create(string folder, DateTimeOffset startedAt)
    {
        try
        {
            Directory.CreateDirectory(folder);
            for (var attempt = 0; ; attempt++)
            {
                var name = string.Create(CultureInfo.InvariantCulture, $"events.out.tfevents.{startedAt.ToUnixTimeSeconds():D10}.aisle.{attempt}");
                var path = System.IO.Path.Combine(folder, name);
                if (!File.Exists(path)) return new EventFile(path, startedAt);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-5180", $"No event file can be made in {folder}: {e.Message}", "Check the path, its permissions and the free space.", e);
        }
    }

    /// <summary>Values of one step. What is not a number is left out: TensorBoard draws nothing for it.</summary>
    public void Scalars(DateTimeOffset at, long step, IEnumerable<(string Tag, double Value)> values) => Write(at, step, e => e.Message(5, summary =>
    {
        foreach (var (tag, value) in values)
        {
            if (!double.IsFinite(value)) continue;
            summary.Message(1, v =>
            {
                v.Text(1, tag);
                v.Float(2, (float)value);
            });
        }
    }));

    /// <summary>Shown under TEXT, as Markdown.</summary>
    public void Text(DateTimeOffset at, long step, string tag, string markdown) => Write(at, step, e => e.Message(5, summary => summary.Message(1, v =>
    {
        v.Text(1, tag);
        v.Message(8, tensor =>
        {
            tensor.Varint(1, StringType);
            tensor.Message(2, shape => shape.Message(2, dimension => dimension.Varint(1, 1)));
            tensor.Text(8, markdown);
        });
        v.Message(9, metadata =>
        {
            metadata.Message(1, plugin => plugin.Text(1, "text"));
            metadata.Varint(4, TensorData);
        });
    })));

    public void Dispose() => _file.Dispose();

    private void Write(DateTimeOffset at, long step, Action<ProtoWriter> what)
    {
        _event.Clear();
        _event.Double(1, (at - DateTimeOffset.UnixEpoch).TotalSeconds);
        if (step != 0) _event.Varint(2, step);
        what(_event);

        Span<byte> head = stackalloc byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(head, (ulong)_event.Written.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(head[8..], Masked(head[..8]));
        Span<byte> foot = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(foot, Masked(_event.Written));
        _file.Write(head);
        _file.Write(_event.Written);
        _file.Write(foot);
        _file.Flush();
    }

    // A CRC over bytes that hold CRCs is weak; TensorFlow rotates it by 15 bits and adds a constant.
    private static uint Masked(ReadOnlySpan<byte> bytes) => unchecked(uint.RotateRight(Crc32C.Of(bytes), 15) + 0xA282_EAD8);
}
