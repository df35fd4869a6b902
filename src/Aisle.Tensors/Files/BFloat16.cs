using System.Runtime.Intrinsics;

namespace Aisle.Tensors;

/// <summary>The upper half of a float32: its sign, its 8 bits of exponent and 7 of its 23 bits of fraction.</summary>
internal static class BFloat16
{
    public static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>The nearest, ties to the even; what is not a number stays so.</summary>
    public static ushort Round(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>Each lane rounded to bfloat16 and widened again.</summary>
    public static Vector512<float> Round(Vector512<float> values)
    {
        var bits = values.AsUInt32();
        var rounded = bits + Vector512.Create(0x7FFFu) + (Vector512.ShiftRightLogical(bits, 16) & Vector512.Create(1u));
        return (Vector512.ConditionalSelect(Vector512.Equals(values, values).AsUInt32(), rounded, bits | Vector512.Create(0x400000u)) & Vector512.Create(0xFFFF0000u)).AsSingle();
    }
}
