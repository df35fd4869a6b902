using System.Numerics;
using System.Runtime.InteropServices;

namespace Aisle.Artifacts;

/// <summary>CRC-32C (Castagnoli, reflected, initial and final value all ones) in hardware where there is one. Finds accidents early; proves nothing.</summary>
/// <remarks>Source: RFC 3720, appendix B.4.</remarks>
internal static class Crc32C
{
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (var word in words) crc = BitOperations.Crc32C(crc, BitConverter.IsLittleEndian ? word : System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(word));
        foreach (var rest in bytes[(words.Length * sizeof(ulong))..]) crc = BitOperations.Crc32C(crc, rest);
        return ~crc;
    }
}
