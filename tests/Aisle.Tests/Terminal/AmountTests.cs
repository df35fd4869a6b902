using Aisle.Terminal;

namespace Aisle.Tests.Terminal;

public sealed class AmountTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1.0 KiB")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(10_234, "9.99 KiB")]
    [InlineData(1_048_575, "1.0 MiB")]
    [InlineData(75_497_472, "72.0 MiB")]
    [InlineData(1e18, "888 PiB")]
    public void Bytes_have_three_digits_and_a_unit(double bytes, string text) => Assert.Equal(text, Amount.Bytes(bytes));

    [Theory]
    [InlineData(7, "7")]
    [InlineData(34_120, "34.1k")]
    [InlineData(999_999, "1.0M")]
    public void Counts_are_scaled_by_a_thousand(double count, string text) => Assert.Equal(text, Amount.Count(count));

    [Theory]
    [InlineData(-1, "0 s")]
    [InlineData(0.34, "0.34 s")]
    [InlineData(9.999, "10.0 s")]
    [InlineData(59.96, "1:00")]
    [InlineData(125, "2:05")]
    [InlineData(3599.7, "1:00:00")]
    [InlineData(3723, "1:02:03")]
    public void Time_is_seconds_then_a_clock(double seconds, string text) => Assert.Equal(text, Amount.Time(TimeSpan.FromSeconds(seconds)));

    [Fact]
    public void Pace_is_over_the_last_seconds_and_tells_the_rest()
    {
        var pace = new Pace(TimeSpan.FromSeconds(10));
        Assert.Null(pace.PerSecond);
        for (var second = 0; second <= 60; second++) pace.Add(DateTimeOffset.UnixEpoch.AddSeconds(second), second < 40 ? second : 40 + (second - 40) * 5);
        Assert.Equal(5, pace.PerSecond!.Value, 3);
        Assert.Equal(20, pace.TimeFor(100)!.Value.TotalSeconds, 3);
    }

    [Fact]
    public void Work_that_starts_again_has_no_pace_yet()
    {
        var pace = new Pace();
        pace.Add(DateTimeOffset.UnixEpoch, 0);
        pace.Add(DateTimeOffset.UnixEpoch.AddSeconds(1), 10);
        pace.Add(DateTimeOffset.UnixEpoch.AddSeconds(2), 3);
        Assert.Null(pace.PerSecond);
        Assert.Null(pace.TimeFor(7));
    }
}
