using Aisle.Artifacts;
using Aisle.Training.Protocol;

namespace Aisle.Training.Tests.Protocol;

/// <summary>Who is let in, and what the others are told.</summary>
public sealed class AdmissionTests
{
    private static readonly RunShape s_shape = new(Digest.Of("recipe"), Slices: 12, Shards: 4, Steps: 100, CheckpointEvery: 10);

    [Fact]
    public void Without_a_recipe_the_first_workers_run_is_the_run()
    {
        var coordinator = new CoordinatorProtocol(new CoordinatorRules());
        Assert.Null(coordinator.Run);
        var effects = coordinator.Introduced(Worker(0, s_shape), default, out _);
        Assert.Equal(s_shape, coordinator.Run);
        Assert.Equal(640, coordinator.TokensPerStep);
        var plan = Assert.Single(effects.OfType<CoordinatorEffect.SendPlan>()).Plan;
        Assert.Equal(12, plan.Units.Sum(unit => unit.Slices.Count));
        Assert.Equal(4, plan.ShardOwners.Length);
    }

    [Fact]
    public void A_refusal_names_what_differs()
    {
        Assert.Contains("slices 24 against 12", Refusal(s_shape with { Slices = 24, Recipe = Digest.Of("other") }), StringComparison.Ordinal);
        Assert.Contains("steps 7 against 100, checkpointEvery 0 against 10", Refusal(s_shape with { Steps = 7, CheckpointEvery = 0, Recipe = Digest.Of("other") }), StringComparison.Ordinal);
        Assert.Contains("at equal slices and steps", Refusal(s_shape with { Recipe = Digest.Of("other") }), StringComparison.Ordinal);
        Assert.Contains("5 shards", Refusal(s_shape with { Shards = 5 }), StringComparison.Ordinal);
        Assert.Contains("AISLE-5150", Refusal(s_shape, tokens: 641), StringComparison.Ordinal);
        Assert.Contains("AISLE-5123", Refusal(s_shape, canary: "other"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_shape_that_no_run_can_have_is_refused()
    {
        foreach (var shape in (RunShape[])[s_shape with { Slices = 0 }, s_shape with { Slices = 5000 }, s_shape with { Shards = 0 }, s_shape with { Steps = 0 }, s_shape with { CheckpointEvery = -1 }])
        {
            Assert.Equal("AISLE-5131", Assert.Throws<AisleException>(shape.ThrowIfImpossible).Code);
        }
    }

    private static string Refusal(RunShape shape, long tokens = 640, string canary = "canary")
    {
        var coordinator = new CoordinatorProtocol(new CoordinatorRules());
        coordinator.Introduced(Worker(0, s_shape), default, out _);
        return Assert.Single(coordinator.Introduced(Worker(1, shape, tokens, canary), default, out _).OfType<CoordinatorEffect.Refuse>()).Reason.Message;
    }

    private static Introduction Worker(int id, RunShape shape, long tokens = 640, string canary = "canary") =>
        new($"w{id}", "", 4000 + id, shape, tokens, Digest.Of(canary), "class");
}
