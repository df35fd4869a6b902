using Aisle.Artifacts;

namespace Aisle.Identity.Tests;

public sealed class JoinRosterTests
{
    private static readonly DateTimeOffset Now = new(2031, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);
    private static readonly JoinToken Token = JoinToken.Create(Digest.Of("an authority"));

    private static JoinAttempt Attempt(string node = "node-2", string? secret = null, string? id = null, Role role = Role.Node, string request = "request", string key = "key") =>
        new(id ?? Token.Id, secret ?? Token.Secret, role, NodeId.Parse(node), Digest.Of(request), Digest.Of(key), "10.0.0.2:4000");

    private static JoinRoster Offered(TimeSpan? life = null)
    {
        var (roster, refusal) = JoinRoster.Empty.Offer(Token.Id, Token.SecretHash, Role.Node, life ?? Hour, Now);
        Assert.Null(refusal);
        return roster;
    }

    private static JoinRoster Admitted(JoinRoster roster, JoinAttempt attempt, DateTimeOffset? at = null)
    {
        var (next, refusal) = roster.Admit(attempt, at ?? Now, (at ?? Now) + CertificateLife.OfNode);
        Assert.Null(refusal);
        return next;
    }

    private static void Refused(string code, JoinRoster roster, JoinAttempt attempt, DateTimeOffset? at = null)
    {
        var (next, refusal) = roster.Admit(attempt, at ?? Now, (at ?? Now) + CertificateLife.OfNode);
        Assert.Equal(code, refusal?.Code);
        Assert.Same(roster, next);
        Assert.DoesNotContain(attempt.Secret, refusal!.What + refusal.Next, StringComparison.Ordinal);
    }

    [Fact]
    public void A_good_token_admits_one_machine_and_its_use_is_recorded()
    {
        var roster = Admitted(Offered(), Attempt());
        Assert.Equal(new TokenUse(NodeId.Parse("node-2"), Digest.Of("request"), Now, "10.0.0.2:4000"), roster.Tokens[Token.Id].Use);
        Assert.Equal(Digest.Of("key"), roster.Nodes[NodeId.Parse("node-2")].Key);
    }

    [Fact]
    public void An_unknown_token_is_refused() => Refused("AISLE-8010", Offered(), Attempt(id: "0123456789"));

    [Fact]
    public void A_wrong_secret_is_refused_and_uses_nothing_up()
    {
        var roster = Offered();
        Refused("AISLE-8011", roster, Attempt(secret: new string('0', 64)));
        Admitted(roster, Attempt());
    }

    [Fact]
    public void An_expired_token_is_refused()
    {
        Refused("AISLE-8012", Offered(), Attempt(), Now + Hour);
        Admitted(Offered(), Attempt(), Now + Hour - TimeSpan.FromTicks(1));
    }

    [Fact]
    public void A_token_that_another_used_is_refused() => Refused("AISLE-8013", Admitted(Offered(), Attempt()), Attempt("node-3", request: "another", key: "another"));

    [Fact]
    public void The_same_message_again_is_refused_as_a_replay() => Refused("AISLE-8014", Admitted(Offered(), Attempt()), Attempt());

    [Fact]
    public void A_used_token_says_so_even_when_it_has_expired_since() => Refused("AISLE-8013", Admitted(Offered(), Attempt()), Attempt(request: "another"), Now + 2 * Hour);

    [Fact]
    public void A_token_for_a_node_makes_nothing_else()
    {
        Refused("AISLE-8015", Offered(), Attempt(role: Role.Workload));
        Refused("AISLE-8015", Offered(), Attempt(role: Role.Authority));
    }

    [Fact]
    public void No_token_gives_the_authoritys_role() =>
        Assert.Equal("AISLE-8015", JoinRoster.Empty.Offer(Token.Id, Token.SecretHash, Role.Authority, Hour, Now).Refusal?.Code);

    [Fact]
    public void A_name_belongs_to_its_key_until_its_certificate_has_expired()
    {
        var (taken, _) = Offered(TimeSpan.FromHours(24)).Renew(NodeId.Parse("node-2"), Role.Node, Digest.Of("first"), Now - 2 * Hour, Now + Hour);
        Refused("AISLE-8016", taken, Attempt(key: "second"));
        Refused("AISLE-8016", taken, Attempt(key: "second"), Now + Hour + CertificateLife.ClockTolerance);
        Admitted(taken, Attempt(key: "first"));
        Admitted(taken, Attempt(key: "second"), Now + Hour + CertificateLife.ClockTolerance + TimeSpan.FromTicks(1));
    }

    [Fact]
    public void A_denied_node_neither_joins_nor_renews_until_it_is_allowed_again()
    {
        var node = NodeId.Parse("node-2");
        var (denied, _) = Offered().Deny(node);
        Refused("AISLE-8018", denied, Attempt());
        Assert.Equal("AISLE-8018", denied.Renew(node, Role.Node, Digest.Of("key"), Now, Now + Hour).Refusal?.Code);
        Assert.True(denied.DenyVersion < denied.Allow(node).DenyVersion);
        Admitted(denied.Allow(node), Attempt());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(24 * 60 + 1)]
    public void A_life_out_of_bounds_is_refused(int minutes) =>
        Assert.Equal("AISLE-8019", JoinRoster.Empty.Offer(Token.Id, Token.SecretHash, Role.Node, TimeSpan.FromMinutes(minutes), Now).Refusal?.Code);

    [Fact]
    public void Tokens_are_bounded_and_forgotten_a_week_after_their_end()
    {
        var roster = JoinRoster.Empty;
        for (var i = 0; i < JoinRoster.MaxTokens; i++) roster = roster.Offer($"{i:x10}", Token.SecretHash, Role.Node, Hour, Now).Next;
        Assert.Equal("AISLE-8020", roster.Offer("ffffffffff", Token.SecretHash, Role.Node, Hour, Now + Hour + JoinRoster.Memory).Refusal?.Code);
        var (later, refusal) = roster.Offer("ffffffffff", Token.SecretHash, Role.Node, Hour, Now + 2 * Hour + JoinRoster.Memory);
        Assert.Null(refusal);
        Assert.Single(later.Tokens);
    }
}
