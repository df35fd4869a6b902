namespace Aisle.Ledger.Consensus;

/// <summary>Rules that can only be broken from inside: tests put known bugs back here and see that the simulation finds them. Everybody else uses <see cref="Kept"/>.</summary>
internal sealed record RaftRules
{
    public static readonly RaftRules Kept = new();

    /// <summary>Rule 7: what counts as a majority's match.</summary>
    public ReachedByMajority MatchOfMajority { get; init; } = Quorum.Reached;

    /// <summary>Rule 8: only entries of the leader's own term commit by counting.</summary>
    public bool CountsOnlyOwnTerm { get; init; } = true;

    /// <summary>Rule 21: entries after a snapshot stay only where the log agrees with it.</summary>
    public bool ChecksSuffixOfSnapshot { get; init; } = true;

    /// <summary>Rule 23: a change of members waits for the one before it, and for an entry of the leader's own term.</summary>
    public bool ChangesOneAtATime { get; init; } = true;
}
