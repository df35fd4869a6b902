using Aisle.Training.Protocol;
using CsCheck;

namespace Aisle.Training.Tests.Protocol;

public sealed class SliceSetTests
{
    private static readonly Gen<int[]> s_slices = Gen.Int[0, SliceSet.MaxSlices - 1].Array[0, 60];

    [Fact]
    public void Sets_behave_like_sets() =>
        Gen.Select(s_slices, s_slices).Sample((a, b) =>
        {
            var (left, right) = (SliceSet.Of(a), SliceSet.Of(b));
            Assert.Equal(a.Distinct().Order(), left.Slices());
            Assert.Equal(a.Intersect(b).Any(), left.Overlaps(right));
            Assert.Equal(SliceSet.Of(a.Concat(b)), left.Union(right));
            Assert.Equal(a.Distinct().Count(), left.Count);
            Assert.Equal(left, SliceSet.Parse(left.ToString()));
            Assert.Equal(left, SliceSet.FromWords(left.Words));
        });

    [Fact]
    public void Parts_are_disjoint_nearly_equal_and_leave_nothing_out() =>
        Gen.Select(s_slices, Gen.Int[1, 9]).Sample((slices, parts) =>
        {
            var set = SliceSet.Of(slices);
            var cut = set.Split(parts).ToList();
            Assert.Equal(set.Slices(), cut.SelectMany(part => part.Slices()));
            if (cut.Count > 0) Assert.InRange(cut.Max(part => part.Count) - cut.Min(part => part.Count), 0, 1);
            Assert.DoesNotContain(cut, part => part.IsEmpty);
        });

    [Theory]
    [InlineData("5-3")]
    [InlineData("x")]
    [InlineData("4096")]
    [InlineData("-1")]
    [InlineData("1-")]
    public void Text_that_is_no_set_is_refused(string text) => Assert.Throws<FormatException>(() => SliceSet.Parse(text));
}
