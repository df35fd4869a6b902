using System.Runtime.InteropServices;
using Aisle.Training.Numerics;
using CsCheck;

namespace Aisle.Training.Tests.Numerics;

public sealed class FixedPointTests
{
    private static readonly Gen<float> s_gradient = Gen.OneOf(
        Gen.Float[-1e3f, 1e3f], Gen.Float[-1e-6f, 1e-6f], Gen.Float[-2e5f, 2e5f], Consts.Of(0f, -0f, float.Epsilon, 1f, -1f, 0.5f));

    private static readonly Gen<float> s_anything = Gen.OneOf(s_gradient, Gen.Float, Consts.Of(float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue));

    [Fact]
    public void Any_grouping_and_order_gives_the_same_sum()
    {
        var slices = Gen.Select(Gen.Int[1, 40], Gen.Int[1, 70]).SelectMany((count, length) => s_gradient.Array[length].Array[count]);
        Gen.Select(slices, Gen.Int).Sample((slices, seed) =>
        {
            var length = slices[0].Length;
            var inOrder = new long[length];
            foreach (var slice in slices) FixedPoint.Accumulate(slice, inOrder, 30);

            var random = new Random(seed);
            var groups = Enumerable.Range(0, random.Next(1, 8)).Select(_ => new long[length]).ToArray();
            foreach (var slice in slices.OrderBy(_ => random.Next())) FixedPoint.Accumulate(slice, groups[random.Next(groups.Length)], 30);
            var together = new long[length];
            foreach (var group in groups.OrderBy(_ => random.Next())) FixedPoint.Add(group, together);
            Assert.Equal(inOrder, together);
        });
    }

    [Fact]
    public void The_vector_form_gives_the_bits_of_the_scalar_form() =>
        Gen.Select(s_anything.Array[0, 100], Gen.Int[8, 48]).Sample((gradient, bits) =>
        {
            var (vector, scalar) = (new long[gradient.Length], new long[gradient.Length]);
            var fits = FixedPoint.Accumulate(gradient, vector, bits);
            Assert.Equal(FixedPoint.AccumulateScalar(gradient, scalar, bits), fits);
            Assert.Equal(scalar, vector);
            Array.Fill(vector, 77);
            FixedPoint.Accumulate(gradient, vector, bits, isFirst: true);
            Assert.Equal(scalar, vector);
            Assert.Equal(gradient.All(g => Math.Abs(g * FixedPoint.PowerOfTwo(bits)) < 1L << 51), fits);
        });

    [Fact]
    public void A_value_is_rounded_half_to_even() =>
        s_gradient.Sample(g =>
        {
            var sum = new long[1];
            FixedPoint.Accumulate([g], sum, 12);
            Assert.Equal((long)Math.Round(g * 4096.0, MidpointRounding.ToEven), sum[0]);
        });

    [Fact]
    public void The_mean_is_the_sum_scaled_and_divided_in_double() =>
        Gen.Select(Gen.Long.Array[0, 50], Gen.Int[0, 50], Gen.Double[1, 1e6]).Sample((sum, bits, divisor) =>
        {
            var mean = new float[sum.Length];
            FixedPoint.Mean(sum, mean, bits, divisor);
            for (var i = 0; i < sum.Length; i++) Assert.Equal((float)(sum[i] * Math.Pow(2, -bits) / divisor), mean[i]);
        });

    [Fact]
    public void Rounding_adding_and_the_mean_in_one_give_the_bits_of_one_after_the_other()
    {
        var addend = Consts.Of(NumberForm.Float32, NumberForm.Fixed64, NumberForm.Packed);
        Gen.Select(addend.Array[1, 6], Gen.Int[1, 2500], Gen.Int, Gen.Bool, Consts.Of(1.0, 3.0, 64.0)).Sample((forms, length, seed, mayBeWrong, divisor) =>
        {
            const int bits = 36;
            var random = new Random(seed);
            var sum = new long[length];
            var fits = true;
            List<byte[]> lent = [];
            foreach (var form in forms)
            {
                float[] values = [.. Enumerable.Range(0, length).Select(_ => (random.NextSingle() - 0.5f) * 100)];
                if (mayBeWrong && form == NumberForm.Float32) values[random.Next(length)] = random.Next(2) == 0 ? float.NaN : -1e30f;
                var rounded = new long[length];
                fits &= FixedPoint.AccumulateScalar(values, rounded, bits);
                FixedPoint.Add(rounded, sum);
                var packed = new byte[PackedBlocks.MaxSizeBytes(length)];
                lent.Add(form switch
                {
                    NumberForm.Float32 => MemoryMarshal.AsBytes(values.AsSpan()).ToArray(),
                    NumberForm.Fixed64 => MemoryMarshal.AsBytes(rounded.AsSpan()).ToArray(),
                    _ => packed[..PackedBlocks.Pack(rounded, packed)],
                });
            }
            var (expected, mean) = (new float[length], new float[length]);
            FixedPoint.Mean(sum, expected, bits, divisor);
            var pins = lent.Select(numbers => GCHandle.Alloc(numbers, GCHandleType.Pinned)).ToList();
            try
            {
                Addend[] addends = [.. forms.Select((form, i) => new Addend(form, pins[i].AddrOfPinnedObject(), lent[i].Length, length))];
                Assert.Equal(fits, ShardFold.Reduce(addends, mean, bits, divisor));
                Assert.Equal(expected, mean);
            }
            finally
            {
                foreach (var pin in pins) pin.Free();
            }
        });
    }
}
