using Aisle.Artifacts;
using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.State;

public sealed class NameRules
{
    private readonly LedgerState _empty = LedgerState.Empty;

    [Fact]
    public void A_moved_name_gains_a_version_that_remembers_when_and_by_whom()
    {
        var state = _empty.Then(Move("models/x", "one")).Then(Move("models/x", "two") with { By = new JobId(7) });
        Assert.Equal([new NameVersion(1, D("one"), Noon, null), new NameVersion(2, D("two"), Noon, new JobId(7))], state.Names["models/x"].History);
    }

    [Fact]
    public void Moving_to_the_digest_it_has_adds_no_version()
    {
        var state = _empty.Then(Move("a", "one")).Then(Move("a", "one"));
        Assert.Single(state.Names["a"].History);
        Assert.Equal(2, state.Revision);
    }

    [Fact]
    public void Moving_back_to_an_older_digest_is_a_new_version()
    {
        var state = _empty.Then(Move("a", "one")).Then(Move("a", "two")).Then(Move("a", "one"));
        Assert.Equal([1, 2, 3], state.Names["a"].History.Select(version => version.Number));
    }

    [Theory]
    [InlineData("a")]
    [InlineData("models/docs")]
    [InlineData("0/a.b/c_d-e")]
    [InlineData("a..b")]
    public void Segments_of_letters_digits_dots_dashes_and_underscores_are_names(string name) => _empty.Then(Move(name, "x"));

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("/a")]
    [InlineData("a/")]
    [InlineData("a//b")]
    [InlineData("A")]
    [InlineData("../a")]
    [InlineData("a/..")]
    [InlineData("a/.hidden")]
    [InlineData("a b")]
    [InlineData("a\n")]
    [InlineData("a@1")]
    [InlineData("sha256:00")]
    [InlineData("é")]
    public void Anything_else_is_refused_as_a_name(string? name)
    {
        _empty.Refuses(Move(name!, "x"), LedgerCodes.NameMalformed);
        _empty.Refuses(Alias(name!, "production", "x"), LedgerCodes.NameMalformed);
        _empty.Refuses(new RemoveName(name!) { At = Noon }, LedgerCodes.NameMalformed);
    }

    [Fact]
    public void A_name_has_at_most_256_characters()
    {
        _empty.Then(Move(new string('a', 256), "x"));
        var refused = _empty.Refuses(Move(new string('a', 257), "x"), LedgerCodes.NameMalformed);
        Assert.True(refused.What.Length < 120, "a long name must not fill the message");
    }

    [Fact]
    public void A_mover_can_insist_on_the_version_it_saw()
    {
        var state = _empty.Then(Move("a", "one", expected: 0)).Then(Move("a", "two", expected: 1));
        state.Refuses(Move("a", "three", expected: 1), LedgerCodes.VersionConflict);
        state.Refuses(Move("a", "three", expected: 0), LedgerCodes.VersionConflict);
        _empty.Refuses(Move("a", "one", expected: 1), LedgerCodes.VersionConflict);
        Assert.Contains("version 2", state.Refuses(Move("a", "two", expected: 1), LedgerCodes.VersionConflict).What);
    }

    [Fact]
    public void An_alias_points_at_a_digest_of_the_history_only()
    {
        var state = _empty.Then(Move("a", "one")).Then(Move("a", "two")).Then(Alias("a", "production", "one"));
        Assert.Equal(D("one"), state.Names["a"].Aliases["production"]);
        state.Refuses(Alias("a", "production", "three"), LedgerCodes.NotInHistory);
        state.Refuses(Alias("b", "production", "one"), LedgerCodes.NameNotFound);
    }

    [Theory]
    [InlineData("latest")]
    [InlineData("3")]
    [InlineData("3a")]
    [InlineData("a/b")]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("Prod")]
    public void Latest_numbers_and_paths_cannot_be_aliases(string? alias) =>
        _empty.Then(Move("a", "one")).Refuses(Alias("a", alias!, "one"), LedgerCodes.AliasMalformed);

    [Fact]
    public void A_removed_name_is_forgotten_with_its_history()
    {
        var state = _empty.Then(Move("a", "one")).Then(new RemoveName("a") { At = Noon });
        Assert.Empty(state.Names);
        state.Refuses(new RemoveName("a") { At = Noon }, LedgerCodes.NameNotFound);
        Assert.Equal(1, state.Then(Move("a", "two", expected: 0)).Names["a"].Latest.Number);
    }

    [Theory]
    [InlineData("models/x", "three")]
    [InlineData("models/x@latest", "three")]
    [InlineData("models/x@1", "one")]
    [InlineData("models/x@3", "three")]
    [InlineData("models/x@production", "two")]
    public void A_reference_resolves_to_what_it_names(string reference, string content)
    {
        Assert.True(Three().TryResolve(reference, out var digest));
        Assert.Equal(D(content), digest);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("@")]
    [InlineData("models/y")]
    [InlineData("models/x@")]
    [InlineData("models/x@0")]
    [InlineData("models/x@4")]
    [InlineData("models/x@-1")]
    [InlineData("models/x@+1")]
    [InlineData("models/x@99999999999")]
    [InlineData("models/x@staging")]
    [InlineData("models/x@production@1")]
    [InlineData("sha256:12")]
    public void A_reference_to_nothing_does_not_resolve(string? reference) => Assert.False(Three().TryResolve(reference, out _));

    [Fact]
    public void A_digest_resolves_to_itself()
    {
        Assert.True(_empty.TryResolve(D("x").ToString(), out var digest));
        Assert.Equal(D("x"), digest);
    }

    private LedgerState Three() => _empty.Then(Move("models/x", "one")).Then(Move("models/x", "two")).Then(Move("models/x", "three"))
        .Then(Alias("models/x", "production", "two"));
}
