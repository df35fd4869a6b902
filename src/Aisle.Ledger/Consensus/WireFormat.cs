using System.Buffers;

namespace Aisle.Ledger.Consensus;

/// <summary>Numbers of 1 to 10 bytes, low seven bits first, each byte but the last with its top bit set.</summary>
internal static class WireFormat
{
    public static void Write(ArrayBufferWriter<byte> to, ulong value)
    {
        var span = to.GetSpan(10);
        var length = 0;
        for (; value >= 0x80; value >>= 7) span[length++] = (byte)(value | 0x80);
        span[length++] = (byte)value;
        to.Advance(length);
    }

    public static void Write(ArrayBufferWriter<byte> to, long value) => Write(to, (ulong)value);

    public static void Write(ArrayBufferWriter<byte> to, LogPosition position)
    {
        Write(to, position.Term);
        Write(to, position.Index);
    }

    public static void Write(ArrayBufferWriter<byte> to, ReadOnlySpan<byte> bytes)
    {
        Write(to, (ulong)bytes.Length);
        to.Write(bytes);
    }
}

/// <summary>Reads what <see cref="WireFormat"/> wrote; anything else is an AISLE-2070. Byte strings are slices of the input, not copies.</summary>
internal ref struct WireReader(ReadOnlyMemory<byte> bytes)
{
    private int _at;

    public byte Byte() => _at < bytes.Length ? bytes.Span[_at++] : throw Malformed("it ends early");

    public bool Flag() => Byte() switch
    {
        0 => false,
        1 => true,
        var other => throw Malformed($"flag {other}"),
    };

    public ulong Unsigned()
    {
        var value = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var next = Byte();
            if (shift == 63 && next > 1) break;
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return next == 0 && shift > 0 ? throw Malformed("a number has a zero too many") : value;   // one way only to write a number
        }
        throw Malformed("a number has more than 64 bits");
    }

    /// <summary>0 or more, with room to count on.</summary>
    public long Number() => Unsigned() is var value and < long.MaxValue / 2 ? (long)value : throw Malformed("a number is too large");

    public int Count(int most) => Unsigned() is var value && value <= (ulong)most ? (int)value : throw Malformed($"{value} of something, {most} at most");

    public LogPosition Position()
    {
        var (term, index) = (Number(), Number());
        return term == 0 == (index == 0) ? new(term, index) : throw Malformed($"no entry stands at term {term}, index {index}");
    }

    public ReadOnlyMemory<byte> Bytes()
    {
        var length = Unsigned() is var value && value <= (ulong)(bytes.Length - _at) ? (int)value : throw Malformed($"{value} bytes are announced, {bytes.Length - _at} follow");
        _at += length;
        return bytes.Slice(_at - length, length);
    }

    public readonly void End()
    {
        if (_at != bytes.Length) throw Malformed($"{bytes.Length - _at} bytes follow its end");
    }

    public static AisleException Malformed(string why) => new(
        LedgerCodes.MessageMalformed, $"This is no message of a ledger member: {why}.", "Check that both ends run the same version of aisle; if they do, report this.");
}
