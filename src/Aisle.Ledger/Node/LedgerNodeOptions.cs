using System.Collections.Immutable;
using Aisle.Ledger.Transport;

namespace Aisle.Ledger;

/// <summary>One member of a replicated ledger. The defaults are a ledger that is alone.</summary>
public sealed record LedgerNodeOptions
{
    /// <summary>This member's number, 1 or more, used by no other member before or after.</summary>
    public ulong Member
    {
        get;
        init => field = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(Member), value, "Members are counted from 1.");
    } = 1;

    /// <summary>32 lower-case hex digits, equal on all members. Null: what the directory says, or a new one.</summary>
    public string? Cluster { get; init; }

    /// <summary>Who votes when the cluster begins, equal on all of them. Null: this member alone. Empty: it waits until the others make it a member.
    /// Looked at once, when the directory is made.</summary>
    public ImmutableArray<ulong>? FirstMembers { get; init; }

    /// <summary>How the others are reached. Null for a member that is alone.</summary>
    public TcpPeersOptions? Peers { get; init; }

    /// <summary>Bounds of the log and the queue.</summary>
    public LedgerOptions Ledger { get; init; } = new();

    /// <summary>Between two heartbeats of a leader.</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromMilliseconds(30);

    /// <summary>Silence of a leader after which an election may begin, at least. Stretched where silences are longer. Equal on all members.</summary>
    public TimeSpan ElectionMinimum { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>How long a command or read waits while nobody leads, before it fails with AISLE-2081.</summary>
    public TimeSpan LeaderWait { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Where chance in elections comes from; members differ all the same.</summary>
    public ulong Seed { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>Where a member stands now.</summary>
/// <param name="Leader">0 when nobody is known to lead.</param>
/// <param name="Committed">Entries that a majority has.</param>
/// <param name="Applied">Entries that <see cref="LedgerNode.State"/> includes.</param>
public sealed record LedgerNodeStatus(ulong Member, ulong Leader, long Term, long Committed, long Applied, ImmutableArray<ulong> Voters, ImmutableArray<ulong> Learners)
{
    public bool Leads => Leader == Member;
}
