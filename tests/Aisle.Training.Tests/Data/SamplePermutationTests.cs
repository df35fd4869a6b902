using Aisle.Training.Data;
using CsCheck;

namespace Aisle.Training.Tests.Data;

public sealed class SamplePermutationTests
{
    [Fact]
    public void Each_epoch_shows_every_sample_once() =>
        Gen.Select(Gen.ULong, Gen.Int[1, 3000], Gen.Long[0, 1000]).Sample((seed, count, epoch) =>
        {
            var order = new SamplePermutation(seed, count);
            var seen = new bool[count];
            for (var position = 0; position < count; position++)
            {
                var sample = order.SampleAt(epoch, position);
                Assert.False(seen[sample], $"sample {sample} comes twice");
                seen[sample] = true;
            }
        }, iter: 60);

    [Fact]
    public void Epochs_and_seeds_have_orders_of_their_own()
    {
        long[] Order(ulong seed, long epoch) => [.. Enumerable.Range(0, 1000).Select(position => new SamplePermutation(seed, 1000).SampleAt(epoch, position))];
        Assert.Equal(Order(1, 0), Order(1, 0));
        Assert.NotEqual(Order(1, 0), Order(1, 1));
        Assert.NotEqual(Order(1, 0), Order(2, 0));
        Assert.Equal(Order(1, 2)[5], new SamplePermutation(1, 1000).SampleAt(2005));
    }

    [Fact]
    public void Neighbours_are_spread_over_the_whole_set()
    {
        var order = new SamplePermutation(3, 1 << 20);
        var sum = Enumerable.Range(0, 4096).Average(position => (double)Math.Abs(order.SampleAt(position) - order.SampleAt(position + 1)));
        Assert.InRange(sum / (1 << 20), 0.30, 0.37); // a third, when two places are independent
    }
}
