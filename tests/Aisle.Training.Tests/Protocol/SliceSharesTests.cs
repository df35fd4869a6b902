using Aisle.Training.Protocol;
using CsCheck;

namespace Aisle.Training.Tests.Protocol;

public sealed class SliceSharesTests
{
    [Fact]
    public void Equal_members_get_equal_shares_and_a_slow_one_less()
    {
        Assert.Equal([8, 8, 8], SliceShares.Cut(24, [1, 1, 1]));
        Assert.Equal([11, 11, 2], SliceShares.Cut(24, [1, 1, 4]));
        Assert.Equal([6, 6, 6, 6], SliceShares.Cut(24, [0, double.NaN, 3, double.PositiveInfinity]));
        Assert.Equal([1, 1, 0], SliceShares.Cut(2, [1, 1, 1]));
    }

    [Fact]
    public void All_slices_are_shared_out_nobody_starves_and_no_move_of_a_slice_would_end_earlier() =>
        Gen.Select(Gen.Int[0, 200], Gen.Double[0.01, 10].Array[1, 12]).Sample((slices, seconds) =>
        {
            var shares = SliceShares.Cut(slices, seconds);
            Assert.Equal(slices, shares.Sum());
            Assert.Equal(shares, SliceShares.Cut(slices, seconds));
            if (slices >= seconds.Length) Assert.All(shares, share => Assert.True(share > 0));
            var end = shares.Zip(seconds, (share, each) => share * each).Max();
            for (var from = 0; from < shares.Length; from++)
            {
                for (var to = 0; to < shares.Length; to++)
                {
                    if (from == to || shares[from] < 2) continue;
                    int[] moved = [.. shares];
                    moved[from]--;
                    moved[to]++;
                    Assert.True(moved.Zip(seconds, (share, each) => share * each).Max() >= end);
                }
            }
        });
}
