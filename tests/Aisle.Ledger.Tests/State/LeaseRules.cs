using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.State;

public sealed class LeaseRules
{
    private static readonly TimeSpan Life = TimeSpan.FromSeconds(10);

    private static AdvanceTime Time(int seconds) => new() { At = Noon.AddSeconds(seconds) };

    private static GrantLease Grant(string holder) => new("scheduler", holder, Life) { At = Noon };

    private static LedgerState Granted(LedgerState state, string holder, out long fence)
    {
        var (next, answer) = state.Apply(Grant(holder));
        fence = Assert.IsType<LeaseGranted>(answer).Fence;
        return next;
    }

    [Fact]
    public void One_holds_it_until_it_is_released_or_expires_and_the_number_only_grows()
    {
        var state = Granted(LedgerState.Empty.Then(Time(0)), "a", out var first);
        state.Refuses(Grant("b"), LedgerCodes.LeaseHeld);
        state = Granted(state.Then(new ReleaseLease("scheduler", first) { At = Noon }), "b", out var second);
        Assert.True(second > first);
        state = state.Then(Time(9)).Then(new RenewLease("scheduler", second) { At = Noon }).Then(Time(18));
        state.Refuses(Grant("a"), LedgerCodes.LeaseHeld);
        state = Granted(state.Then(Time(19)), "a", out var third);
        Assert.True(third > second);
        state.Refuses(new RenewLease("scheduler", second) { At = Noon }, LedgerCodes.LeaseStale);
        state.Refuses(new ReleaseLease("scheduler", second) { At = Noon }, LedgerCodes.LeaseStale);
        Assert.Equal("a", state.Leases["scheduler"].Holder);
    }

    [Fact]
    public void What_is_asked_under_a_stale_lease_does_not_run()
    {
        var state = Granted(LedgerState.Empty.Then(Time(0)), "a", out var fence);
        var act = Move("name", "x") with { Under = new LeaseProof("scheduler", fence) };
        state = state.Then(act);
        state.Refuses(act with { Name = "other", Under = new LeaseProof("scheduler", fence + 1) }, LedgerCodes.LeaseStale);
        state.Refuses(act with { Name = "other", Under = new LeaseProof("nobody", fence) }, LedgerCodes.LeaseStale);
        // The holder was asleep: its lease went, came to it again with another number, and its late write shows the old one.
        state = Granted(state.Then(Time(60)), "a", out _);
        state.Refuses(act with { Name = "other" }, LedgerCodes.LeaseStale);
    }

    [Fact]
    public void A_session_checks_the_lease_of_what_it_carries()
    {
        var (state, opened) = LedgerState.Empty.Apply(new OpenSession("tester", Life) { At = Noon });
        var session = Assert.IsType<SessionOpened>(opened).Session;
        var (next, answer) = state.Apply(new InSession(session, 1, Move("a", "x") with { Under = new LeaseProof("scheduler", 1) }) { At = Noon });
        Assert.Equal(LedgerCodes.LeaseStale, Assert.IsType<Refused>(answer).Code);
        Assert.Empty(next.Names);
    }

    [Fact]
    public void The_holder_that_takes_it_again_makes_its_own_earlier_number_stale()
    {
        var state = Granted(LedgerState.Empty, "a", out var first);
        state = Granted(state, "a", out var second);
        state.Refuses(new RenewLease("scheduler", first) { At = Noon }, LedgerCodes.LeaseStale);
        state.Then(new RenewLease("scheduler", second) { At = Noon });
    }

    [Fact]
    public void A_number_is_not_given_twice_across_a_snapshot()
    {
        var state = Granted(LedgerState.Empty, "a", out var first).Then(new ReleaseLease("scheduler", 1) { At = Noon });
        Granted(LedgerCodec.ReadState(LedgerCodec.Write(state)), "a", out var second);
        Assert.Equal(first + 1, second);
    }
}
