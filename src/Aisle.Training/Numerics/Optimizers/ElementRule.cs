using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>An update of eight parameters at once, of single IEEE operations: a fused multiply-add rounds once where two operations round twice.</summary>
internal interface IElementRule
{
    /// <summary>0, 1 or 2.</summary>
    static abstract int Slots { get; }

    /// <returns>The new weights. Slots that the rule has not come in as zero and are not kept.</returns>
    Vector256<float> Next(Vector256<float> weights, Vector256<float> gradient, ref Vector256<float> first, ref Vector256<float> second);
}

internal static class Elementwise
{
    private const int Width = 8;

    /// <summary>Applies the rule to every element; the last few pass through the same eight lanes as all others.</summary>
    public static void Update<TRule>(TRule rule, Span<float> weights, ReadOnlySpan<float> gradient, Span<float> first = default, Span<float> second = default)
        where TRule : struct, IElementRule
    {
        ref var w = ref MemoryMarshal.GetReference(weights);
        ref var g = ref MemoryMarshal.GetReference(gradient);
        ref var a = ref MemoryMarshal.GetReference(first);
        ref var b = ref MemoryMarshal.GetReference(second);
        nuint i = 0;
        for (; i + Width <= (nuint)weights.Length; i += Width)
        {
            var one = TRule.Slots > 0 ? Vector256.LoadUnsafe(ref a, i) : default;
            var two = TRule.Slots > 1 ? Vector256.LoadUnsafe(ref b, i) : default;
            rule.Next(Vector256.LoadUnsafe(ref w, i), Vector256.LoadUnsafe(ref g, i), ref one, ref two).StoreUnsafe(ref w, i);
            if (TRule.Slots > 0) one.StoreUnsafe(ref a, i);
            if (TRule.Slots > 1) two.StoreUnsafe(ref b, i);
        }
        var left = weights.Length - (int)i;
        if (left == 0) return;

        Span<float> lanes = stackalloc float[Width * 4];
        lanes.Clear();
        weights[(int)i..].CopyTo(lanes);
        gradient[(int)i..].CopyTo(lanes[Width..]);
        if (TRule.Slots > 0) first[(int)i..].CopyTo(lanes[(2 * Width)..]);
        if (TRule.Slots > 1) second[(int)i..].CopyTo(lanes[(3 * Width)..]);
        Update(rule, lanes[..Width], lanes[Width..(2 * Width)], lanes[(2 * Width)..(3 * Width)], lanes[(3 * Width)..]);
        lanes[..left].CopyTo(weights[(int)i..]);
        if (TRule.Slots > 0) lanes.Slice(2 * Width, left).CopyTo(first[(int)i..]);
        if (TRule.Slots > 1) lanes.Slice(3 * Width, left).CopyTo(second[(int)i..]);
    }
}

/// <summary>Values that follow a statistic: value += momentum · (statistic − value).</summary>
internal static class RunningAverage
{
    public static void Update(Span<float> values, ReadOnlySpan<float> statistic, float momentum) =>
        Elementwise.Update(new Rule(Vector256.Create(momentum)), values, statistic);

    private readonly struct Rule(Vector256<float> momentum) : IElementRule
    {
        public static int Slots => 0;

        public Vector256<float> Next(Vector256<float> weights, Vector256<float> gradient, ref Vector256<float> first, ref Vector256<float> second) =>
            weights + (momentum * (gradient - weights));
    }
}
