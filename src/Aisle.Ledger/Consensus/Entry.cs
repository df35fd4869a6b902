namespace Aisle.Ledger.Consensus;

/// <summary>A voting or learning member of the ledger. Never used again once its member is gone; 0 is nobody.</summary>
internal readonly record struct MemberId(ulong Value)
{
    public static readonly MemberId Nobody;

    public override string ToString() => $"m{Value}";
}

internal enum EntryKind : byte
{
    /// <summary>No content: what a new leader appends first, so that entries of earlier terms commit with it.</summary>
    Blank = 0,

    /// <summary>The commands of one batch, in the state machine's own encoding.</summary>
    Commands = 1,

    /// <summary>The members from this entry on.</summary>
    Membership = 2,
}

/// <summary>Where an entry stands: entries with the same term and index are the same, and so are all before them. Index 0 of term 0 is the empty log.</summary>
internal readonly record struct LogPosition(long Term, long Index);

/// <summary>One entry of the replicated log. Its payload must not be changed by anybody.</summary>
internal sealed record Entry(long Term, long Index, EntryKind Kind, ReadOnlyMemory<byte> Payload)
{
    public LogPosition Position => new(Term, Index);
}

/// <summary>What a member must never forget: the newest term it saw, and whom it voted for in it (nobody: 0). One record, flushed before any message that depends on it.</summary>
internal readonly record struct HardState(long Term, MemberId Vote);
