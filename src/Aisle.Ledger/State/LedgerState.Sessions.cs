namespace Aisle.Ledger;

/// <summary>Rules of sessions: a command runs once, a retry hears what the first attempt heard, and a session that expired runs nothing.</summary>
public sealed partial record LedgerState
{
    /// <summary>Sessions that can be open. Each keeps one answer.</summary>
    public const int MaxSessions = 10_000;

    public static readonly TimeSpan LeastLifetime = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan MostLifetime = TimeSpan.FromDays(7);

    private (LedgerState State, LedgerAnswer Answer) Apply(AdvanceTime advance)
    {
        if (advance.At <= Time) return Accept();
        var state = this with { Time = advance.At.ToUniversalTime() };
        return (state.Time >= NextExpiry ? state.Expire() : state).Accept();
    }

    private LedgerState Expire()
    {
        var (sessions, leases, next) = (Sessions.ToBuilder(), Leases.ToBuilder(), DateTimeOffset.MaxValue);
        foreach (var (id, session) in Sessions)
        {
            if (session.ExpiresAt <= Time) sessions.Remove(id);
            else if (session.ExpiresAt < next) next = session.ExpiresAt;
        }
        foreach (var (name, lease) in Leases)
        {
            if (lease.ExpiresAt <= Time) leases.Remove(name);
            else if (lease.ExpiresAt < next) next = lease.ExpiresAt;
        }
        return this with { Sessions = sessions.ToImmutable(), Leases = leases.ToImmutable(), NextExpiry = next };
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(OpenSession open)
    {
        if (!LedgerGrammar.IsText(open.Client)) return RefuseText("client", open.Client);
        if (!IsLifetime(open.Lifetime)) return RefuseLifetime(open.Lifetime);
        if (Sessions.Count >= MaxSessions)
        {
            return Refuse(LedgerCodes.TooMany, $"{MaxSessions} sessions are open, the most there can be.", "Close sessions that are not used, or wait until some expire.");
        }
        var id = new SessionId(LastSessionNumber + 1);
        var session = new Session(open.Client, open.Lifetime, After(open.Lifetime));
        var state = (this with { LastSessionNumber = id.Number, Sessions = Sessions.Add(id, session) }).Expecting(session.ExpiresAt);
        return (state, new SessionOpened(id, Revision));
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(KeepSession keep) =>
        Sessions.TryGetValue(keep.Session, out var session) ? Keep(keep.Session, session).Accept() : RefuseSession(keep.Session);

    private (LedgerState State, LedgerAnswer Answer) Apply(CloseSession close) => (this with { Sessions = Sessions.Remove(close.Session) }).Accept();

    /// <summary>On the state of before the command: the one that it carries counts the revision, so that both are one.</summary>
    private (LedgerState State, LedgerAnswer Answer) Apply(InSession once)
    {
        var next = this with { Revision = Revision + 1 };
        if (once.Run is null or InSession or OpenSession or KeepSession or CloseSession or AdvanceTime)
        {
            return next.Refuse(LedgerCodes.CommandMalformed, $"{once.Run?.GetType().Name ?? "Nothing"} cannot be run in a session.", "Propose it by itself.");
        }
        if (once.Sequence < 1) return next.Refuse(LedgerCodes.CommandMalformed, $"{once.Sequence} cannot be a sequence.", "Count a session's commands from 1.");
        if (!Sessions.TryGetValue(once.Session, out var session)) return next.RefuseSession(once.Session);
        if (once.Sequence == session.LastSequence) return (next.Keep(once.Session, session), session.Answer!);
        if (once.Sequence < session.LastSequence)
        {
            return next.Refuse(LedgerCodes.SequencePassed, $"Command {once.Sequence} of {once.Session} came after {session.LastSequence} was answered, and did not run now.",
                "Send a session's commands one after the other. Whether it had run before, the state shows.");
        }
        var (state, answer) = Apply(once.Run);
        return (state.Keep(once.Session, session with { LastSequence = once.Sequence, Answer = answer }), answer);
    }

    private LedgerState Keep(SessionId id, Session session) =>
        this with { Sessions = Sessions.SetItem(id, session with { ExpiresAt = After(session.Lifetime) }) };

    /// <summary>Ledger time and a lifetime from now; the end of time where that would be later.</summary>
    private DateTimeOffset After(TimeSpan lifetime) => DateTimeOffset.MaxValue - Time > lifetime ? Time + lifetime : DateTimeOffset.MaxValue;

    private LedgerState Expecting(DateTimeOffset expiry) => expiry < NextExpiry ? this with { NextExpiry = expiry } : this;

    private static bool IsLifetime(TimeSpan lifetime) => lifetime >= LeastLifetime && lifetime <= MostLifetime;

    private (LedgerState State, LedgerAnswer Answer) RefuseSession(SessionId session) => Refuse(LedgerCodes.SessionExpired,
        $"{session} is not open; the command did not run.", "Open a new session. Whether earlier commands ran, the state shows.");

    private (LedgerState State, LedgerAnswer Answer) RefuseLifetime(TimeSpan lifetime) => Refuse(LedgerCodes.LifetimeOutOfRange,
        $"A lifetime of {lifetime} was asked for.", $"Ask for {LeastLifetime} to {MostLifetime}.");
}
