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

    [Fact]
    public void The_next_coordinator_hears_from_the_workers_who_was_shut_out_and_refuses_it()
    {
        var next = new CoordinatorProtocol(new CoordinatorRules { Term = 1000 });
        next.Introduced(Worker(1, s_shape) with { Returning = AfterQuarantineOfW0() }, default, out _);
        var refusal = Assert.Single(next.Introduced(Worker(0, s_shape), default, out _).OfType<CoordinatorEffect.Refuse>());
        Assert.Contains("AISLE-5190: Worker w0 computes wrongly and was shut out at step 0: its memory changed", refusal.Reason.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Who_was_shut_out_and_reaches_the_next_coordinator_first_is_put_out_when_the_others_come()
    {
        var next = new CoordinatorProtocol(new CoordinatorRules { Term = 1000 });
        Assert.Single(next.Introduced(Worker(0, s_shape), default, out var sick).OfType<CoordinatorEffect.SendPlan>()); // it began the run anew, alone
        var returning = AfterQuarantineOfW0() with { State = 7 };
        var effects = next.Introduced(Worker(1, s_shape) with { Returning = returning }, default, out _);
        Assert.Equal(sick, Assert.Single(effects.OfType<CoordinatorEffect.Refuse>()).To);
        Assert.Equal("w0", Assert.Single(effects.OfType<CoordinatorEffect.Quarantined>()).Name);
        var begin = effects.Concat(next.Ticked(TimeSpan.FromSeconds(4))).OfType<CoordinatorEffect.SendBegin>().Last().Order;
        Assert.Equal((StateSource.Own, 7), (begin.Source, begin.Step));
        Assert.Equal("w0", Assert.Single(begin.ShutOut).Name); // and so it goes on to the one after
    }

    /// <summary>What worker 1 brings along from a run whose worker 0 was found to compute wrongly.</summary>
    private static Returning AfterQuarantineOfW0()
    {
        var coordinator = new CoordinatorProtocol(new CoordinatorRules { MinimumWorkers = 2 });
        coordinator.Introduced(Worker(0, s_shape), default, out _);
        var sick = coordinator.Introduced(Worker(1, s_shape), default, out _).OfType<CoordinatorEffect.SendBegin>().First().Order;
        var order = coordinator.SelfAccused(sick.Member, sick.Life, 0, "its memory changed", default).OfType<CoordinatorEffect.SendBegin>().Single().Order;
        return new Returning(order.Term, order.Member, order.Life, Peers: 1, PlannedUpTo: order.Step, order.Step, default) { Generation = order.Generation, ShutOut = order.ShutOut };
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
