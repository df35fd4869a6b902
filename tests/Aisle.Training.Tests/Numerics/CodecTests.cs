using System.Net;
using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using CsCheck;

namespace Aisle.Training.Tests.Numerics;

public sealed class CodecTests
{
    private const int FractionBits = 30;
    private static readonly Gen<float[]> s_gradient = Gen.Select(Gen.Int[1, 900], Gen.Int, (length, seed) => Gradient(length, seed));

    [Fact]
    public void Rounded_values_are_few_multiples_of_a_power_of_two_that_fixed_point_holds_exactly() =>
        Gen.Select(s_gradient, Gen.ULong).Sample((gradient, seed) =>
        {
            var rounded = Rounded(gradient, seed, step: 3, slice: 1);
            for (var start = 0; start < gradient.Length; start += Int8Codec.BlockElements)
            {
                var block = rounded[start..Math.Min(start + Int8Codec.BlockElements, gradient.Length)];
                var largest = gradient[start..(start + block.Length)].Max(Math.Abs);
                var quantum = block.Select(value => (double)Math.Abs(value)).Where(value => value > 0).Select(LowestBit).DefaultIfEmpty(1).Min();
                Assert.All(block, value => Assert.True(Math.Abs(value) / quantum <= 127));
                Assert.True(quantum >= Math.Pow(2, -FractionBits));
                for (var i = 0; i < block.Length; i++) Assert.True(Math.Abs(block[i] - gradient[start + i]) <= Math.Max(largest / 63, Math.Pow(2, -FractionBits)));
            }
            var sum = new long[gradient.Length];
            Assert.True(FixedPoint.Accumulate(rounded, sum, FractionBits));
            for (var i = 0; i < sum.Length; i++) Assert.Equal((double)rounded[i], sum[i] * FixedPoint.PowerOfTwo(-FractionBits));
        });

    [Fact]
    public void The_vector_form_gives_the_bits_of_single_floats_one_at_a_time() =>
        Gen.Select(s_gradient, Gen.ULong).Sample((gradient, seed) =>
        {
            var rounded = Rounded(gradient, seed, 9, 2);
            var chance = CounterRandom.Reserved(seed, 9, 2, 0);
            for (var start = 0; start < gradient.Length; start += Int8Codec.BlockElements)
            {
                var end = Math.Min(start + Int8Codec.BlockElements, gradient.Length);
                var exponent = -FractionBits;
                while (gradient[start..end].Max(value => Math.Abs((double)value)) > 127 * Math.Pow(2, exponent)) exponent++;
                for (var i = start; i < end; i++)
                    Assert.Equal(Int8Codec.RoundOne(gradient[i], chance.UnitAt(i), MathF.Pow(2, exponent), MathF.Pow(2, -exponent)), rounded[i]);
            }
        });

    [Fact]
    public void Rounding_is_right_on_average()
    {
        var gradient = Gradient(600, seed: 5);
        var mean = new double[600];
        const int Draws = 4000;
        for (var step = 0; step < Draws; step++)
        {
            var rounded = Rounded(gradient, seed: 1, step, step % 7);
            for (var i = 0; i < mean.Length; i++) mean[i] += rounded[i] / (double)Draws;
        }
        for (var i = 0; i < mean.Length; i++)
        {
            var block = gradient[(i / 256 * 256)..Math.Min(i / 256 * 256 + 256, 600)];
            // A rounding's deviation is at most half a quantum, a quantum at most a 63rd of the largest: five deviations of the mean.
            Assert.Equal(gradient[i], mean[i], 5 * 0.5 * block.Max(Math.Abs) / 63 / Math.Sqrt(Draws));
        }
    }

    [Fact]
    public void A_slice_is_rounded_by_itself_so_any_grouping_of_slices_has_one_sum() =>
        Gen.Select(Gen.Int[1, 600], Gen.Int[1, 24], Gen.Int).Sample((length, slices, seed) =>
        {
            var random = new Random(seed);
            float[][] gradients = [.. Enumerable.Range(0, slices).Select(slice => Rounded(Gradient(length, seed + slice), 11, 4, slice))];
            var whole = new long[length];
            foreach (var gradient in gradients) FixedPoint.Accumulate(gradient, whole, FractionBits);
            // Shared out among workers by chance, each sum packed for the way.
            var workers = random.Next(1, 7);
            var order = Enumerable.Range(0, slices).ToArray();
            random.Shuffle(order);
            var together = new long[length];
            foreach (var group in order.GroupBy(_ => random.Next(workers)))
            {
                var sum = new long[length];
                foreach (var slice in group) FixedPoint.Accumulate(gradients[slice], sum, FractionBits);
                var packed = new byte[PackedBlocks.MaxSizeBytes(length)];
                PackedBlocks.AddTo(together, packed.AsSpan(0, PackedBlocks.Pack(sum, packed)));
            }
            Assert.Equal(whole, together);
        });

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Over_the_real_exchange_every_number_of_ranks_gets_the_same_bits(int ranks)
    {
        const int Length = 3000, Slices = 6;
        var expected = new long[Length];
        for (var slice = 0; slice < Slices; slice++) FixedPoint.Accumulate(Rounded(Gradient(Length, slice), 2, 8, slice), expected, FractionBits);
        float[] sum = [.. expected.Select(value => (float)(value * FixedPoint.PowerOfTwo(-FractionBits)))];
        GradientExchange[] exchanges = [.. Enumerable.Range(0, ranks).Select(rank => new GradientExchange(rank, ranks, Length, [1, 2, 3], fractionBits: FractionBits))];
        try
        {
            IPEndPoint[] endPoints = [.. exchanges.Select(exchange => exchange.EndPoint)];
            foreach (var exchange in exchanges) exchange.Connect(endPoints);
            var results = await Task.WhenAll(exchanges.Select((exchange, rank) => Task.Factory.StartNew(
                () =>
                {
                    // Multiples of powers of two with few bits: a rank's own partial sum of six is exact in float.
                    var partial = new float[Length];
                    for (var slice = rank; slice < Slices; slice += ranks)
                    {
                        var rounded = Rounded(Gradient(Length, slice), 2, 8, slice);
                        for (var i = 0; i < Length; i++) partial[i] += rounded[i];
                    }
                    exchange.AllReduce(partial);
                    return partial;
                },
                TaskCreationOptions.LongRunning))).WaitAsync(TimeSpan.FromSeconds(30));
            foreach (var result in results) Assert.Equal(sum, result);
        }
        finally
        {
            foreach (var exchange in exchanges) exchange.Dispose();
        }
    }

    [Fact]
    public void Eight_bits_travel_in_about_a_third_of_the_bytes()
    {
        var gradient = Gradient(25_600, seed: 3);
        var (fixedSum, roundedSum) = (new long[gradient.Length], new long[gradient.Length]);
        FixedPoint.Accumulate(gradient, fixedSum, FractionBits);
        FixedPoint.Accumulate(Rounded(gradient, 1, 0, 0), roundedSum, FractionBits);
        var packed = new byte[PackedBlocks.MaxSizeBytes(gradient.Length)];
        var (wide, narrow) = (PackedBlocks.Pack(fixedSum, packed), PackedBlocks.Pack(roundedSum, packed));
        Assert.InRange(narrow / (double)gradient.Length, 0.8, 1.02);
        Assert.True(wide > 2.5 * narrow, $"{wide} against {narrow} bytes");
    }

    [Fact]
    public void Statistics_of_running_averages_pass_and_numbers_that_are_none_stay_to_be_refused()
    {
        var gradient = Gradient(300, seed: 2);
        (gradient[100], gradient[299]) = (1234.567f, float.NaN);
        var rounded = gradient.ToArray();
        new Int8Codec(1, FractionBits, [new(0, 90, ParameterKind.Decayed), new(90, 20, ParameterKind.RunningAverage), new(110, 190, ParameterKind.Undecayed)]).Round(rounded, 0, 0);
        Assert.Equal(gradient[90..110], rounded[90..110]);
        Assert.NotEqual(gradient[..90], rounded[..90]);
        Assert.Equal(gradient[256..], rounded[256..]);
        Assert.False(FixedPoint.Accumulate(rounded, new long[300], FractionBits));
    }

    [Theory]
    [InlineData(PublishedForm.BFloat16)]
    [InlineData(PublishedForm.Int8)]
    public void What_an_owner_does_not_publish_it_owes_and_pays_later(PublishedForm form)
    {
        const int Length = 1000, Steps = 300;
        var (residual, published, exact) = (new float[Length], new double[Length], new double[Length]);
        var largest = 0.0;
        for (var step = 0; step < Steps; step++)
        {
            var mean = Gradient(Length, step);
            for (var i = 0; i < Length; i++) exact[i] += mean[i];
            largest = Math.Max(largest, mean.Max(Math.Abs));
            PublishedGradient.Round(mean, residual, form);
            for (var i = 0; i < Length; i++) published[i] += mean[i];
        }
        // However many steps: what is missing is one rounding's worth.
        for (var i = 0; i < Length; i++) Assert.Equal(exact[i], published[i] + residual[i], 1e-4);
        Assert.True(residual.Max(Math.Abs) < largest / 30, "More is owed than one rounding leaves.");
        Assert.Contains(residual, owed => owed != 0);
    }

    [Theory]
    [InlineData(PublishedForm.BFloat16)]
    [InlineData(PublishedForm.Int8)]
    public void Owners_of_parts_publish_and_owe_the_bits_of_one_owner(PublishedForm form)
    {
        var (whole, wholeResidual) = (Gradient(2000, 1), Gradient(2000, 2));
        var (parts, partsResidual) = (whole.ToArray(), wholeResidual.ToArray());
        PublishedGradient.Round(whole, wholeResidual, form);
        foreach (var (start, end) in ((int, int)[])[(1536, 2000), (0, 256), (256, 1536)])
            PublishedGradient.Round(parts.AsSpan(start..end), partsResidual.AsSpan(start..end), form);
        Assert.Equal(whole, parts);
        Assert.Equal(wholeResidual, partsResidual);
    }

    private static double LowestBit(double value)
    {
        var bits = BitConverter.DoubleToUInt64Bits(value);
        var mantissa = bits & ((1UL << 52) - 1) | 1UL << 52;
        return Math.Pow(2, Math.ILogB(value) - 52 + System.Numerics.BitOperations.TrailingZeroCount(mantissa));
    }

    private static float[] Rounded(float[] gradient, ulong seed, long step, int slice)
    {
        var rounded = gradient.ToArray();
        new Int8Codec(seed, FractionBits, [new(0, gradient.Length, ParameterKind.Decayed)]).Round(rounded, step, slice);
        return rounded;
    }

    // As gradients are: most small, few large, another size in each block, and some zeros.
    private static float[] Gradient(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(i => random.Next(20) == 0 ? 0 : (float)(Math.Pow(random.NextDouble() - 0.5, 3) * Math.Pow(2, i / 256 % 5 - 2)))];
    }
}
