using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Consensus;

public sealed class QuorumTests
{
    [Fact]
    public void Rule_7_what_a_majority_reached_is_right_in_every_small_case()
    {
        for (var voters = 1; voters <= 7; voters++)
        {
            var cases = (int)Math.Pow(4, voters);
            var values = new long[voters];
            for (var number = 0; number < cases; number++)
            {
                for (var (i, rest) = (0, number); i < voters; i++, rest /= 4) values[i] = rest % 4;
                var expected = 3L;
                while (values.Count(value => value >= expected) * 2 <= voters) expected--;
                Assert.Equal(expected, Quorum.Reached([.. values]));
            }
        }
        Assert.Equal(0, Quorum.Reached([]));
    }

    [Fact]
    public void Rule_7_five_members_of_which_three_replied_commit_what_three_have() =>
        Assert.Equal(40, Quorum.Reached([100, 40, 100, 0, 0]));

    [Fact]
    public void Any_two_majorities_before_and_after_a_single_change_share_a_member()
    {
        for (var voters = 1; voters <= 9; voters++) Assert.True(Quorum.Of(voters) + Quorum.Of(voters + 1) > voters + 1);
    }
}
