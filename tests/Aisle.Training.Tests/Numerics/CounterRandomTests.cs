using System.Runtime.Intrinsics;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests.Numerics;

public sealed class CounterRandomTests
{
    // Known answers for philox4x32 with ten rounds, from Random123's kat_vectors.
    [Theory]
    [InlineData(new uint[] { 0, 0, 0, 0 }, 0UL, new uint[] { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 })]
    [InlineData(new uint[] { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, 0xffffffff_ffffffffUL, new uint[] { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd })]
    [InlineData(new uint[] { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, 0x299f31d0_a4093822UL, new uint[] { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 })]
    public void The_rounds_give_the_published_answers(uint[] counter, ulong key, uint[] answer)
    {
        Vector256<ulong>[] words = [.. counter.Select(word => Vector256.Create((ulong)word))];
        CounterRandom.Mix(ref words[0], ref words[1], ref words[2], ref words[3], key);
        for (var word = 0; word < 4; word++)
        {
            for (var lane = 0; lane < 4; lane++) Assert.Equal(answer[word], words[word][lane]);
        }
    }

    [Fact]
    public void Every_part_of_the_key_gives_another_stream_and_the_same_key_the_same()
    {
        CounterRandom[] streams =
        [
            new(1, 2, 3, 4), new(2, 2, 3, 4), new(1, 3, 3, 4), new(1, 2, 4, 4), new(1, 2, 3, 5), new(1UL << 40, 2, 3, 4), new(1, 2L << 32, 3, 4), CounterRandom.Reserved(1, 2, 3, 4),
        ];
        var numbers = streams.SelectMany(stream => Enumerable.Range(0, 1000).Select(stream.At)).ToList();
        Assert.True(numbers.Distinct().Count() > numbers.Count - 20, "Streams overlap.");
        for (var i = 0; i < 1000; i++) Assert.Equal(numbers[i], new CounterRandom(1, 2, 3, 4).At(i));
    }

    [Fact]
    public void Fractions_are_spread_evenly_and_masks_keep_the_mean()
    {
        var random = new CounterRandom(7, 100, 5, 1);
        var tenths = new int[10];
        for (var i = 0; i < 100_000; i++) tenths[(int)(random.UnitAt(i) * 10)]++;
        Assert.All(tenths, count => Assert.InRange(count, 9_600, 10_400)); // four deviations are 380
        var mask = new float[100_003];
        random.FillMask(mask, 0.2);
        Assert.Equal([0f, 1.25f], mask.Distinct().Order());
        Assert.InRange(mask.Average(), 0.992, 1.008);
        for (var i = 0; i < 200; i++) Assert.Equal(random.At(i) < 0.2 * 4294967296.0 ? 0 : 1.25f, mask[i]);
    }
}
