using CsCheck;

namespace Aisle.Tensors.Tests;

/// <summary>Damaged variants of a file: bytes flipped, cut out, put in, or the end torn off. CsCheck prints the seed of a failure.</summary>
internal static class Corruption
{
    public static Gen<byte[]> Of(byte[] original) =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, Math.Max(0, original.Length - 1)], Gen.Byte.Array[1, 8]).Select(damage => Apply(original, damage.Item1, damage.Item2, damage.Item3));

    private static byte[] Apply(byte[] original, int kind, int at, byte[] bytes) => kind switch
    {
        0 => [.. original.Select((value, i) => i >= at && i - at < bytes.Length ? (byte)(value ^ bytes[i - at]) : value)],
        1 => original[..at],
        2 => [.. original[..at], .. bytes, .. original[at..]],
        _ => [.. original[..at], .. original[Math.Min(original.Length, at + bytes.Length)..]],
    };
}
