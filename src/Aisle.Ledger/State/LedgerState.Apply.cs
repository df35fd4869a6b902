namespace Aisle.Ledger;

public sealed partial record LedgerState
{
    /// <summary>The state after <paramref name="command"/>, and what to tell its proposer. Pure and total: the same on every replay, on every
    /// member; a command that makes no sense is <see cref="Refused"/>, never thrown.</summary>
    public (LedgerState State, LedgerAnswer Answer) Apply(LedgerCommand command)
    {
        var next = this with { Revision = Revision + 1 };
        if (command?.Under is { } proof && next.FaultOf(proof) is { } stale) return (next, stale);
        return command switch
        {
            MoveName move => next.Apply(move),
            SetAlias alias => next.Apply(alias),
            RemoveName remove => next.Apply(remove),
            SubmitJob submit => next.Apply(submit),
            PlaceJob place => next.Apply(place),
            ScaleJob scale => next.Apply(scale),
            RecordCheckpoint record => next.Apply(record),
            WithdrawCheckpoint withdraw => next.Apply(withdraw),
            FinishJob finish => next.Apply(finish),
            CancelJob cancel => next.Apply(cancel),
            DeployEndpoint deploy => next.Apply(deploy),
            RemoveEndpoint remove => next.Apply(remove),
            AdvanceTime advance => next.Apply(advance),
            OpenSession open => next.Apply(open),
            KeepSession keep => next.Apply(keep),
            CloseSession close => next.Apply(close),
            InSession once => Apply(once),
            GrantLease grant => next.Apply(grant),
            RenewLease renew => next.Apply(renew),
            ReleaseLease release => next.Apply(release),
            _ => next.Refuse(LedgerCodes.CommandMalformed,
                $"The ledger has no rule for {command?.GetType().Name ?? "nothing"}.", "Run the same version of aisle on every machine."),
        };
    }

    private (LedgerState State, LedgerAnswer Answer) Accept() => (this, new Done(Revision));

    private (LedgerState State, LedgerAnswer Answer) Accept(JobId job) => (this, new JobAccepted(job, Revision));

    private (LedgerState State, LedgerAnswer Answer) Refuse(string code, string what, string next) => (this, new Refused(code, what, next));

    /// <summary>Text from outside as it may stand in a message: short, quoted, no control characters.</summary>
    private static string Quote(string? text)
    {
        if (text is null) return "(nothing)";
        var shown = text.Length <= 64 ? text : text[..64] + "…";
        return $"'{string.Concat(shown.Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c))}'";
    }
}
