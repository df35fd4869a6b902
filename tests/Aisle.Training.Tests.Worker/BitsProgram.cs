using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests.Worker;

/// <summary>Says what this process's vectors make of everything that must have the same bits everywhere, one hash a line.</summary>
internal static class BitsProgram
{
    private const int Length = 5003;

    public static int Run()
    {
        Console.WriteLine($"vectors {Vector256.IsHardwareAccelerated}");
        OptimizerOptions[] all = [new AdamWOptions(), new AdamOptions { WeightDecay = 0.01 }, new SgdOptions { Momentum = 0 }, new SgdOptions { Nesterov = true }, new LionOptions()];
        ParameterRun[] runs = [new(0, 3000, ParameterKind.Decayed), new(3000, 1000, ParameterKind.RunningAverage), new(4000, Length - 4000, ParameterKind.Undecayed)];
        foreach (var options in all)
        {
            var optimizer = options.Create();
            var (weights, state, powers) = (Numbers(0), new float[optimizer.Slots.Count * Length], OptimizerPowers.Initial);
            for (var step = 0; step < 3; step++)
            {
                powers = optimizer.Next(powers);
                var gradient = Numbers(step + 1);
                var clip = GradientNorm.ClipFactor(GradientNorm.Of(gradient, runs), 1);
                optimizer.Update(new ParameterRange(0, weights, gradient, state, Length), runs, new UpdateStep(1e-2, clip, powers));
            }
            Say(options.Kind, weights);
            Say(options.Kind, state);
        }
        var rounded = Numbers(9);
        new Int8Codec(5, 30, runs).Round(rounded, 7, 3);
        Say("int8", rounded);
        var sum = new long[Length];
        FixedPoint.Accumulate(Numbers(1), sum, 36);
        FixedPoint.Accumulate(rounded, sum, 36);
        Say("fixed", sum);
        var packed = new byte[PackedBlocks.MaxSizeBytes(Length)];
        Say("packed", packed[..PackedBlocks.Pack(sum, packed)]);
        var mean = new float[Length];
        FixedPoint.Mean(sum, mean, 36, 3);
        Say("mean", mean);
        SayReduced(Numbers(1), sum);
        var residual = new float[Length];
        PublishedGradient.Round(mean, residual, PublishedForm.Int8);
        Say("published", mean);
        return 0;
    }

    private static unsafe void SayReduced(float[] values, long[] sum)
    {
        var mean = new float[Length];
        fixed (float* floats = values)
        fixed (long* longs = sum) ShardFold.Reduce([new Addend(NumberForm.Float32, (nint)floats), new Addend(NumberForm.Fixed64, (nint)longs)], mean, 36, 3);
        Say("reduced", mean);
    }

    private static void Say<T>(string what, T[] numbers)
        where T : unmanaged => Console.WriteLine($"{what} {XxHash3.HashToUInt64(MemoryMarshal.AsBytes(numbers.AsSpan())):x16}");

    private static float[] Numbers(int stream)
    {
        var random = new CounterRandom(1, 0, 0, stream);
        return [.. Enumerable.Range(0, Length).Select(i => (random.UnitAt(i) - 0.5f) * (i % 100))];
    }
}
