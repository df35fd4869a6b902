namespace Aisle.Ledger;

/// <summary>Asked of a member that does not lead. Nothing was done.</summary>
/// <param name="member">Who was asked.</param>
/// <param name="leader">Whom to ask; 0 when that is not known.</param>
public sealed class NotLeaderException(ulong member, ulong leader) : AisleException(
    code: LedgerCodes.NotLeader,
    what: leader == 0 ? $"Member m{member} does not lead, and knows nobody who does." : $"Member m{member} does not lead; m{leader} does.",
    next: leader == 0 ? "Ask another member." : $"Ask m{leader}.")
{
    public ulong Leader { get; } = leader;
}
