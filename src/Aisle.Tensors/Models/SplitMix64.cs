namespace Aisle.Tensors;

/// <summary>64 bits to 64 that look unrelated: what seeded orders and starting weights are made of. Only integer steps, so the same on every machine.</summary>
/// <remarks>One step of SplitMix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".</remarks>
internal static class SplitMix64
{
    /// <summary>What the generator's state grows by: step n from a state s is <c>Mix(s + n · Increment)</c>.</summary>
    public const ulong Increment = 0x9E37_79B9_7F4A_7C15;

    public static ulong Mix(ulong value)
    {
        value += Increment;
        value = (value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9;
        value = (value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB;
        return value ^ (value >> 31);
    }

    /// <summary>About normal, with mean 0 and deviation 1, within ±6: the sum of the twelve 16-bit uniforms in three words (Irwin–Hall), which no C library has a hand in.</summary>
    public static double Normal(ulong first, ulong second, ulong third)
    {
        var sum = Parts(first) + Parts(second) + Parts(third);
        return (sum * 2 - 12 * 65535) / 131072.0; // exact: the sum has 20 bits and the divisor is a power of two

        static long Parts(ulong bits) => (ushort)bits + (ushort)(bits >> 16) + (ushort)(bits >> 32) + (long)(bits >> 48);
    }
}
