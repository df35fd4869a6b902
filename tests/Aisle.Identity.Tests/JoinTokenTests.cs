using System.Text;
using CsCheck;

namespace Aisle.Identity.Tests;

public sealed class JoinTokenTests
{
    private static JoinToken Some() => JoinToken.Create(Artifacts.Digest.Of("an authority"));

    [Fact]
    public void A_token_is_read_back_as_it_was_written()
    {
        var token = Some();
        Assert.Equal(token, JoinToken.Parse(token.Reveal()));
        Assert.Equal(146, token.Reveal().Length);
    }

    [Fact]
    public void A_token_in_a_log_shows_no_secret()
    {
        var token = Some();
        Assert.DoesNotContain(token.Secret, token.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(token.Secret, $"{token}", StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("AISLE1")]
    [InlineData("K10aa::bb")]
    public void What_is_no_token_is_refused(string? text) => Assert.Equal("AISLE-8001", Assert.Throws<AisleException>(() => JoinToken.Parse(text)).Code);

    [Fact]
    public void A_line_feed_at_the_end_is_no_part_of_a_token() => Assert.Throws<AisleException>(() => JoinToken.Parse(Some().Reveal() + "\n"));

    [Fact]
    public void A_damaged_token_is_refused_and_never_repeated_in_the_message_or_is_another_token() =>
        Gen.Int.Sample(seed =>
        {
            var text = Some().Reveal();
            var damaged = Encoding.Latin1.GetString(Corruption.Of(Encoding.Latin1.GetBytes(text), new Random(seed)));
            try
            {
                Assert.Equal(damaged, JoinToken.Parse(damaged).Reveal());
            }
            catch (AisleException refused)
            {
                Assert.Equal("AISLE-8001", refused.Code);
                if (damaged.Length > 20) Assert.DoesNotContain(damaged[..20], refused.Message, StringComparison.Ordinal);
            }
        }, iter: 2_000);

    [Fact]
    public void A_huge_text_is_refused_at_once() => Assert.Throws<AisleException>(() => JoinToken.Parse(new string('a', 10_000_000)));
}
