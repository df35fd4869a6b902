using System.Runtime.InteropServices;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests.Simulation;

/// <summary>A model of 64 weights whose gradient is a pure function of (weights, step, slice): all that the protocol can tell of a real one.</summary>
internal static class SimulatedModel
{
    public const int Elements = 64;
    public const int Shards = 4;
    public const int ShardElements = Elements / Shards;
    public const int FractionBits = 30;

    public static float[] Initial() => [.. Enumerable.Range(0, Elements).Select(i => (i - 31.5f) / 64)];

    public static float[] Gradient(float[] weights, long step, int slice)
    {
        var gradient = new float[Elements];
        var x = (ulong)(step * 1000 + slice) * 0x9E37_79B9_7F4A_7C15 + 1;
        for (var i = 0; i < Elements; i++)
        {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            gradient[i] = weights[i] * 0.5f + (float)((x >> 40) / (double)(1 << 24) - 0.5);
        }
        return gradient;
    }

    public static void Apply(Span<float> weights, ReadOnlySpan<float> mean)
    {
        for (var i = 0; i < weights.Length; i++) weights[i] -= 0.1f * mean[i];
    }

    /// <summary>What one worker that nobody disturbs arrives at: after each step, the weights' hash.</summary>
    public static ulong[] Reference(int steps, int slices)
    {
        var weights = Initial();
        var hashes = new ulong[steps + 1];
        hashes[0] = Hash(weights);
        for (var step = 0; step < steps; step++)
        {
            var sum = new long[Elements];
            for (var slice = 0; slice < slices; slice++) FixedPoint.Accumulate(Gradient(weights, step, slice), sum, FractionBits);
            var mean = new float[Elements];
            FixedPoint.Mean(sum, mean, FractionBits, slices);
            Apply(weights, mean);
            hashes[step + 1] = Hash(weights);
        }
        return hashes;
    }

    public static ulong Hash(float[] weights)
    {
        var hash = 14695981039346656037;
        foreach (var b in MemoryMarshal.AsBytes<float>(weights)) hash = (hash ^ b) * 1099511628211;
        return hash;
    }
}
