namespace Aisle.Ledger;

/// <summary>Rules of leases: one holder at a time, and a fencing number that only grows, so that a holder that slept through its end is told from its heir.</summary>
public sealed partial record LedgerState
{
    /// <summary>Leases that can be held.</summary>
    public const int MaxLeases = 10_000;

    private (LedgerState State, LedgerAnswer Answer) Apply(GrantLease grant)
    {
        if (!LedgerGrammar.IsName(grant.Name)) return RefuseName(grant.Name);
        if (!LedgerGrammar.IsText(grant.Holder)) return RefuseText("holder", grant.Holder);
        if (!IsLifetime(grant.Lifetime)) return RefuseLifetime(grant.Lifetime);
        if (Leases.TryGetValue(grant.Name, out var held))
        {
            if (held.Holder != grant.Holder)
            {
                return Refuse(LedgerCodes.LeaseHeld, $"{grant.Name} is held by {Quote(held.Holder)} until {held.ExpiresAt:u}.", "Ask again when it has been released or has expired.");
            }
        }
        else if (Leases.Count >= MaxLeases)
        {
            return Refuse(LedgerCodes.TooMany, $"{MaxLeases} leases are held, the most there can be.", "Release leases that are not used.");
        }
        var lease = new Lease(grant.Holder, LastFence + 1, grant.Lifetime, After(grant.Lifetime));
        var state = (this with { LastFence = lease.Fence, Leases = Leases.SetItem(grant.Name, lease) }).Expecting(lease.ExpiresAt);
        return (state, new LeaseGranted(grant.Name, lease.Fence, lease.ExpiresAt, Revision));
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(RenewLease renew)
    {
        if (FaultOf(new LeaseProof(renew.Name, renew.Fence)) is { } stale) return (this, stale);
        var lease = Leases[renew.Name];
        lease = lease with { ExpiresAt = After(lease.Lifetime) };
        return (this with { Leases = Leases.SetItem(renew.Name, lease) }, new LeaseGranted(renew.Name, lease.Fence, lease.ExpiresAt, Revision));
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(ReleaseLease release)
    {
        if (!LedgerGrammar.IsName(release.Name)) return RefuseName(release.Name);
        if (!Leases.ContainsKey(release.Name)) return Accept();
        if (FaultOf(new LeaseProof(release.Name, release.Fence)) is { } stale) return (this, stale);
        return (this with { Leases = Leases.Remove(release.Name) }).Accept();
    }

    private Refused? FaultOf(LeaseProof proof)
    {
        if (proof.Name is not null && Leases.TryGetValue(proof.Name, out var lease) && lease.Fence == proof.Fence) return null;
        return new Refused(LedgerCodes.LeaseStale, $"Fencing number {proof.Fence} of the lease {Quote(proof.Name)} is stale.", "Stop what was done under it. Take the lease again, and look at the state before going on.");
    }
}
