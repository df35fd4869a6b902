using System.Buffers.Binary;
using System.Numerics;

namespace Aisle.Artifacts;

/// <summary>CRC-32C (Castagnoli, reflected), by the processor's instruction where it has one: finds accidents early, proves nothing. Start from <see cref="Start"/>, end with <see cref="Finish"/>.</summary>
/// <remarks>Source: RFC 3720, appendix B.4.</remarks>
public static class Crc32C
{
    public const uint Start = 0xFFFF_FFFF;

    public static uint Add(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var value in bytes) crc = BitOperations.Crc32C(crc, value);
        return crc;
    }

    public static uint Finish(uint crc) => ~crc;

    public static uint Of(ReadOnlySpan<byte> bytes) => Finish(Add(Start, bytes));
}
