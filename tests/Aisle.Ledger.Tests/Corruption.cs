namespace Aisle.Ledger.Tests;

/// <summary>Bytes as a bad disk, a bad wire or a bad copy gives them back.</summary>
internal static class Corruption
{
    public static byte[] Of(byte[] bytes, Random random)
    {
        if (bytes.Length == 0) return [1];
        var at = random.Next(bytes.Length);
        var few = random.Next(1, 9);
        var noise = new byte[few];
        random.NextBytes(noise);
        return random.Next(5) switch
        {
            0 => Flip(bytes, at, (byte)(1 << random.Next(8))),
            1 => bytes[..at],
            2 => [.. bytes[..at], .. noise, .. bytes[at..]],
            3 => [.. bytes[..at], .. bytes[Math.Min(bytes.Length, at + few)..]],
            _ => [.. bytes[..at], .. noise, .. bytes[Math.Min(bytes.Length, at + few)..]],
        };
    }

    public static byte[] Flip(byte[] bytes, int at, byte bits)
    {
        var flipped = bytes.ToArray();
        flipped[at] ^= bits;
        return flipped;
    }
}
