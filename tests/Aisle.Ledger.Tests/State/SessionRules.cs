using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.State;

public sealed class SessionRules
{
    private static readonly TimeSpan Life = TimeSpan.FromSeconds(10);

    private static AdvanceTime Time(int seconds) => new() { At = Noon.AddSeconds(seconds) };

    private static (LedgerState State, SessionId Session) Opened(LedgerState? from = null)
    {
        var (state, answer) = (from ?? LedgerState.Empty.Then(Time(0))).Apply(new OpenSession("tester", Life) { At = Noon });
        return (state, Assert.IsType<SessionOpened>(answer).Session);
    }

    private static InSession Once(SessionId session, long sequence, LedgerCommand command) => new(session, sequence, command) { At = Noon };

    [Fact]
    public void A_retry_gets_the_same_answer_and_runs_nothing()
    {
        var (state, session) = Opened();
        var command = Once(session, 1, Submit("a"));
        var (first, answer) = state.Apply(command);
        var (second, again) = first.Apply(command);
        Assert.Equal(answer, again);
        Assert.Equal(new JobId(1), Assert.IsType<JobAccepted>(again).Job);
        Assert.Equal(first.Jobs, second.Jobs);
        // So does a retry of a refused one.
        var (third, refused) = second.Apply(Once(session, 2, Cancel(new JobId(9))));
        Assert.Equal(refused, third.Apply(Once(session, 2, Cancel(new JobId(9)))).Answer);
    }

    [Fact]
    public void A_retry_from_before_a_snapshot_gets_the_same_answer_after_it()
    {
        var (state, session) = Opened();
        var (first, answer) = state.Apply(Once(session, 1, Move("a", "x")));
        Assert.Equal(answer, LedgerCodec.ReadState(LedgerCodec.Write(first)).Apply(Once(session, 1, Move("a", "x"))).Answer);
    }

    [Fact]
    public void An_earlier_sequence_is_refused_and_does_not_run()
    {
        var (state, session) = Opened();
        state = state.Then(Once(session, 5, Move("a", "x")));
        state.Refuses(Once(session, 4, Move("b", "x")), LedgerCodes.SequencePassed);
    }

    [Fact]
    public void A_session_expires_by_ledger_time_and_then_runs_nothing()
    {
        var (state, session) = Opened();
        // The command's own time is its proposer's and moves nothing.
        state = state.Then(Once(session, 1, Move("a", "x") with { At = Noon.AddYears(1) }));
        state = state.Then(Time(9)).Then(new KeepSession(session) { At = Noon }).Then(Time(18)).Then(Once(session, 2, Move("a", "y"))).Then(Time(27));
        Assert.Contains(session, state.Sessions.Keys);
        state = state.Then(Time(28));
        Assert.Empty(state.Sessions);
        state.Refuses(Once(session, 3, Move("b", "x")), LedgerCodes.SessionExpired);
        state.Refuses(Once(session, 2, Move("a", "y")), LedgerCodes.SessionExpired);
        state.Refuses(new KeepSession(session) { At = Noon }, LedgerCodes.SessionExpired);
        Assert.NotEqual(session, Opened(state).Session);
    }

    [Fact]
    public void Ledger_time_never_goes_back()
    {
        var state = LedgerState.Empty.Then(Time(100)).Then(Time(50));
        Assert.Equal(Noon.AddSeconds(100), state.Time);
        Assert.Equal(DateTimeOffset.MaxValue, Opened(state.Then(new AdvanceTime { At = DateTimeOffset.MaxValue })).State.Sessions.Values.Single().ExpiresAt);
    }

    [Fact]
    public void Sessions_are_bounded_in_number_and_time_and_hold_no_sessions()
    {
        var (state, session) = Opened();
        for (var i = 1; i < LedgerState.MaxSessions; i++) (state, _) = Opened(state);
        state.Refuses(new OpenSession("one more", Life) { At = Noon }, LedgerCodes.TooMany);
        state = state.Then(new CloseSession(session) { At = Noon }).Then(new CloseSession(session) { At = Noon });
        (state, session) = Opened(state);
        state.Refuses(Once(session, 1, Once(session, 1, Move("a", "x"))), LedgerCodes.CommandMalformed);
        state.Refuses(Once(session, 1, Time(99)), LedgerCodes.CommandMalformed);
        state.Refuses(Once(session, 0, Move("a", "x")), LedgerCodes.CommandMalformed);
        foreach (var bad in new[] { TimeSpan.Zero, TimeSpan.MaxValue }) LedgerState.Empty.Refuses(new OpenSession("x", bad) { At = Noon }, LedgerCodes.LifetimeOutOfRange);
        // All of them go at once, and nothing is left to expire.
        state = state.Then(Time(1000));
        Assert.Empty(state.Sessions);
        Assert.Equal(DateTimeOffset.MaxValue, state.NextExpiry);
    }
}
