using Aisle.Training.Numerics;
using CsCheck;

namespace Aisle.Training.Tests.Numerics;

public sealed class PackedBlocksTests
{
    private static readonly Gen<long> s_value = Gen.Select(Gen.Long, Gen.Int[0, 63], (value, shift) => value >> shift);

    private static readonly Gen<long[]> s_values = Gen.OneOf(
        s_value.Array[0, 700], Gen.Select(Gen.Int[-128, 127].Array[0, 700], Gen.Int[0, 50], (small, shift) => small.Select(value => (long)value << shift).ToArray()),
        Gen.Const(0L).Array[0, 600], Consts.Of(0L, -1L).Array[0, 600], Consts.Of(long.MinValue, long.MaxValue, 0L).Array[0, 600]);

    [Fact]
    public void What_is_packed_comes_out_as_it_was_and_is_added() =>
        s_values.Sample(values =>
        {
            var packed = Pack(values);
            Assert.True(PackedBlocks.IsWellFormed(packed, values.Length));
            var sum = values.Select((_, i) => (long)i).ToArray();
            PackedBlocks.AddTo(sum, packed);
            Assert.Equal(values.Select((value, i) => unchecked(value + i)), sum);
        });

    [Fact]
    public void A_block_is_as_wide_as_its_largest_number_needs()
    {
        Assert.Single(Pack(new long[256]));
        Assert.Equal(1 + 32, Pack([.. Enumerable.Repeat(-1L, 256)]).Length);
        Assert.Equal(1 + 32 * 9, Pack([.. Enumerable.Repeat(255L, 256)]).Length);
        Assert.Equal(1 + 32 * 64, Pack([long.MinValue, 1]).Length);
        Assert.Equal(2 + 32, Pack([long.MinValue]).Length);
        Assert.Equal(2 + 32 * 3, Pack([.. Enumerable.Range(-4, 8).Select(value => (long)value << 40)]).Length);
    }

    [Fact]
    public void Damaged_blocks_are_refused_whole_or_taken_and_never_read_past_their_end() =>
        Gen.Select(s_values, Gen.Int, Gen.Int[0, 3]).Sample((values, seed, damage) =>
        {
            var random = new Random(seed);
            var packed = Pack(values).ToList();
            if (packed.Count == 0) return;
            switch (damage)
            {
                case 0:
                    packed[random.Next(packed.Count)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    packed.RemoveRange(random.Next(packed.Count), 1);
                    break;
                case 2:
                    packed.Insert(random.Next(packed.Count), (byte)random.Next(256));
                    break;
                default:
                    packed.RemoveRange(packed.Count / 2, packed.Count - packed.Count / 2);
                    break;
            }
            var sum = new long[values.Length];
            try
            {
                PackedBlocks.AddTo(sum, packed.ToArray());
            }
            catch (AisleException e)
            {
                Assert.Equal("AISLE-5131", e.Code);
                Assert.All(sum, value => Assert.Equal(0, value));
            }
        });

    private static byte[] Pack(long[] values)
    {
        var packed = new byte[PackedBlocks.MaxSizeBytes(values.Length)];
        return packed[..PackedBlocks.Pack(values, packed)];
    }
}
