using System.Buffers.Binary;

namespace Aisle.Artifacts;

/// <summary>Reads shards that may be damaged or hostile: everything is checked, and nothing is believed because it is there.</summary>
internal static class ShardReader
{
    /// <summary>
    /// Checks every byte of a shard in one pass, and copies each part on once it is proved: frame headers and payloads against CRC and
    /// digest, table and trailer against the frames that were seen. Memory: one frame.
    /// </summary>
    /// <exception cref="ShardInvalidException">Anything is wrong; <paramref name="copyTo"/> may hold the part before it.</exception>
    public static async Task<ShardTable> VerifyAsync(Stream shard, long lengthBytes, Stream? copyTo = null, CancellationToken cancellationToken = default)
    {
        if (lengthBytes is <= 0 or > ShardWriter.MaxFileBytes) throw new ShardInvalidException($"a length of {lengthBytes} bytes is out of bounds");
        var buffer = new byte[Math.Clamp(lengthBytes, ShardFrame.HeaderBytes, ShardFrame.HeaderBytes + Chunker.MaxBytes)];
        var slots = new List<ShardSlot>();
        long position = 0;

        async ValueTask ReadAsync(Memory<byte> part)
        {
            if (part.Length > lengthBytes - position) throw new ShardInvalidException($"it ends inside the part at byte {position}");
            try
            {
                await shard.ReadExactlyAsync(part, cancellationToken);
            }
            catch (EndOfStreamException end)
            {
                throw new ShardInvalidException($"it is cut short after byte {position}", end);
            }
            position += part.Length;
        }

        while (true)
        {
            await ReadAsync(buffer.AsMemory(0, ShardTable.HeaderBytes));
            if (BinaryPrimitives.ReadUInt32LittleEndian(buffer) == ShardTable.Magic) break;
            if (slots.Count == ShardWriter.MaxFrames) throw new ShardInvalidException($"it holds more than {ShardWriter.MaxFrames} frames");
            var offset = position - ShardTable.HeaderBytes;
            await ReadAsync(buffer.AsMemory(ShardTable.HeaderBytes, ShardFrame.HeaderBytes - ShardTable.HeaderBytes));
            if (ShardFrame.ReadHeader(buffer.AsSpan(0, ShardFrame.HeaderBytes), out var frame) is { } badHeader) throw new ShardInvalidException($"{badHeader} at byte {offset}");
            if (frame.StoredLength > lengthBytes - position) throw new ShardInvalidException($"it ends inside the frame at byte {offset}");
            var payload = buffer.AsMemory(ShardFrame.HeaderBytes, frame.StoredLength);
            await ReadAsync(payload);
            if (frame.Check(payload.Span) is { } badPayload) throw new ShardInvalidException($"{badPayload} at byte {offset}");
            if (position > ShardWriter.MaxFrameBytes) throw new ShardInvalidException($"its frames pass {ShardWriter.MaxFrameBytes} bytes");
            slots.Add(new ShardSlot(frame.Chunk, (int)offset, frame.StoredLength, frame.PlainLength));
            if (copyTo is not null) await copyTo.WriteAsync(buffer.AsMemory(0, frame.LengthBytes), cancellationToken);
        }

        // What the rest must be follows from the frames, so it is compared, not parsed.
        if (slots.Count == 0) throw new ShardInvalidException("it holds no chunk");
        var table = ShardTable.Of(slots);
        for (var i = 1; i < table.Slots.Length; i++)
        {
            if (table.Slots[i - 1].Chunk == table.Slots[i].Chunk) throw new ShardInvalidException("it holds a chunk twice");
        }
        byte[] expected = [.. table.Encoded.Span, .. table.Trailer()];
        if (position - ShardTable.HeaderBytes + expected.Length != lengthBytes) throw new ShardInvalidException($"its length of {lengthBytes} bytes does not fit its frames");
        var rest = new byte[expected.Length];
        buffer.AsSpan(0, ShardTable.HeaderBytes).CopyTo(rest);
        await ReadAsync(rest.AsMemory(ShardTable.HeaderBytes));
        if (!rest.AsSpan().SequenceEqual(expected)) throw new ShardInvalidException("its table or trailer does not match its frames");
        if (copyTo is not null) await copyTo.WriteAsync(expected, cancellationToken);
        return table;
    }

    /// <summary>Reads the footer only: cheap, and enough to index a shard whose id is already known.</summary>
    /// <exception cref="ShardInvalidException">The footer is damaged, or is not that of <paramref name="id"/>.</exception>
    public static ShardTable ReadFooter(Microsoft.Win32.SafeHandles.SafeFileHandle file, Digest id)
    {
        var length = RandomAccess.GetLength(file);
        if (length is < ShardTable.TrailerBytes or > ShardWriter.MaxFileBytes) throw new ShardInvalidException($"a length of {length} bytes is out of bounds");
        var trailer = new byte[ShardTable.TrailerBytes];
        ReadExactly(file, trailer, length - trailer.Length);
        var encoded = new byte[ShardTable.ReadTrailer(trailer, length)];
        ReadExactly(file, encoded, length - trailer.Length - encoded.Length);
        if (Digest.Of(encoded) != id) throw new ShardInvalidException("its table is not the one its id names");
        return ShardTable.Parse(encoded, length);
    }

    /// <summary>Finds every frame that is whole, whatever else is damaged. For shards whose table is lost.</summary>
    /// <param name="shard">The whole file.</param>
    public static List<ShardSlot> Scan(ReadOnlySpan<byte> shard)
    {
        var slots = new List<ShardSlot>();
        Span<byte> magic = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(magic, ShardFrame.Magic);
        for (var at = 0; at < shard.Length;)
        {
            var found = shard[at..].IndexOf(magic);
            if (found < 0) break;
            at += found;
            if (ShardFrame.ReadHeader(shard[at..], out var frame) is not null)
            {
                at++; // not a frame, only bytes that look like the start of one
                continue;
            }
            var payload = shard[(at + ShardFrame.HeaderBytes)..];
            if (payload.Length >= frame.StoredLength && frame.Check(payload[..frame.StoredLength]) is null)
            {
                slots.Add(new ShardSlot(frame.Chunk, at, frame.StoredLength, frame.PlainLength));
                at += frame.LengthBytes;
            }
            else at++;
        }
        return slots;
    }

    private static void ReadExactly(Microsoft.Win32.SafeHandles.SafeFileHandle file, Span<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            var read = RandomAccess.Read(file, buffer, offset);
            if (read == 0) throw new ShardInvalidException($"it is cut short at byte {offset}");
            buffer = buffer[read..];
            offset += read;
        }
    }
}
