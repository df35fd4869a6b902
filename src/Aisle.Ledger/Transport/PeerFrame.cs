using System.Buffers;
using System.Buffers.Binary;
using Aisle.Artifacts;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Transport;

/// <summary>
/// One message on a stream, integers little-endian: length of the message u32 · CRC-32C u32 of all that follows · cluster 16 bytes · from u64 · to u64 · message.
/// </summary>
internal static class PeerFrame
{
    public const int HeaderBytes = 40;

    /// <summary>The largest entry there can be, and what stands around it. A larger length is never believed.</summary>
    public const int MaxMessageBytes = (16 << 20) + (64 << 10);

    private const int FirstPiece = 64 << 10;
    private const int CrcAt = 4, ClusterAt = 8, FromAt = 24, ToAt = 32;

    public static void Write(Message message, ReadOnlySpan<byte> cluster, ArrayBufferWriter<byte> to)
    {
        var start = to.WrittenCount;
        to.GetSpan(HeaderBytes)[..HeaderBytes].Clear();
        to.Advance(HeaderBytes);
        MessageCodec.Write(message, to);
        var frame = System.Runtime.InteropServices.MemoryMarshal.AsMemory(to.WrittenMemory).Span[start..];   // the writer's own bytes, completed in place
        BinaryPrimitives.WriteInt32LittleEndian(frame, frame.Length - HeaderBytes);
        cluster.CopyTo(frame[ClusterAt..FromAt]);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[FromAt..], message.From.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[ToAt..], message.To.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[CrcAt..], Crc32C.Of(frame[ClusterAt..]));
    }

    /// <summary>Reads one message that <paramref name="from"/> sent to <paramref name="to"/>.</summary>
    /// <param name="header">Scratch of <see cref="HeaderBytes"/>.</param>
    /// <param name="begun">Called when the first bytes of a frame are here.</param>
    /// <returns>Null where the stream ended between two frames.</returns>
    /// <exception cref="AisleException">AISLE-2085, AISLE-2070, AISLE-2071: not a frame, or not of this connection.</exception>
    /// <exception cref="IOException">The stream failed or ended within a frame.</exception>
    public static async ValueTask<Message?> ReadAsync(
        Stream stream, Memory<byte> header, ReadOnlyMemory<byte> cluster, MemberId from, MemberId to, Action? begun, CancellationToken cancellationToken)
    {
        var first = await stream.ReadAsync(header[..HeaderBytes], cancellationToken).ConfigureAwait(false);
        if (first == 0) return null;
        begun?.Invoke();
        await stream.ReadExactlyAsync(header[first..HeaderBytes], cancellationToken).ConfigureAwait(false);
        var length = BinaryPrimitives.ReadInt32LittleEndian(header.Span);
        if (length is < 1 or > MaxMessageBytes) throw Refused($"a frame of {length} bytes; {MaxMessageBytes} is the most");
        if (!header.Span[ClusterAt..FromAt].SequenceEqual(cluster.Span)) throw Refused("a frame of another cluster");
        // Memory as the bytes come, not as the length claims.
        var body = new byte[Math.Min(length, FirstPiece)];
        for (var read = 0; ;)
        {
            await stream.ReadExactlyAsync(body.AsMemory(read), cancellationToken).ConfigureAwait(false);
            read = body.Length;
            if (read == length) break;
            Array.Resize(ref body, (int)Math.Min(length, 2L * read));
        }
        var crc = Crc32C.Finish(Crc32C.Add(Crc32C.Add(Crc32C.Start, header.Span[ClusterAt..HeaderBytes]), body));
        if (crc != BinaryPrimitives.ReadUInt32LittleEndian(header.Span[CrcAt..])) throw Refused("a frame whose checksum is wrong");
        var message = MessageCodec.Read(body);
        return message.From == from && message.To == to && IsTheirs(header.Span, from, to) ? message : throw Refused($"a message from {message.From} to {message.To}");
    }

    public static AisleException Refused(string why) => new(LedgerCodes.PeerRefused, $"A connection to the ledger's port was refused: {why}.",
        "See that cluster, members' numbers and secret are the same on all members; if they are, a stranger has tried.");

    private static bool IsTheirs(ReadOnlySpan<byte> header, MemberId from, MemberId to) =>
        BinaryPrimitives.ReadUInt64LittleEndian(header[FromAt..]) == from.Value && BinaryPrimitives.ReadUInt64LittleEndian(header[ToAt..]) == to.Value;
}
