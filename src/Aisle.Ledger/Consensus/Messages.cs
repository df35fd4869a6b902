using System.Collections.Immutable;

namespace Aisle.Ledger.Consensus;

// What members say to each other. Any message may be lost, doubled, late or out of order; none may be changed on the way.

/// <param name="Term">The sender's term; in a pre-vote, the one that it would stand in.</param>
internal abstract record Message(MemberId From, MemberId To, long Term);

internal enum Ballot : byte
{
    /// <summary>Would you vote for me? Changes nothing at the voter.</summary>
    PreVote = 0,
    Vote = 1,

    /// <summary>A vote that the leader itself asked for: that the voter heard a leader just now is no reason against it.</summary>
    Transfer = 2,
}

/// <param name="Round">The asker's own number for this attempt; comes back with the answer.</param>
/// <param name="Last">Where the asker's log ends.</param>
internal sealed record VoteRequest(MemberId From, MemberId To, long Term, long Round, LogPosition Last, Ballot Ballot) : Message(From, To, Term);

/// <param name="Removed">The asker is no member any more, by an entry that has committed.</param>
internal sealed record VoteReply(MemberId From, MemberId To, long Term, long Round, bool PreVote, bool Granted, bool Removed) : Message(From, To, Term);

/// <summary>Entries that follow <paramref name="Previous"/>; a heartbeat without any.</summary>
/// <param name="Session">The leader's number for what it knows of this follower; comes back with the answer.</param>
/// <param name="Round">The leader's newest round; comes back with the answer and shows that it leads since.</param>
internal sealed record Append(
    MemberId From, MemberId To, long Term, long Session, long Round, LogPosition Previous, ImmutableArray<Entry> Entries, long Commit) : Message(From, To, Term)
{
    /// <summary>The follower's log equals the leader's up to here, once it has taken this in.</summary>
    public long Proven => Previous.Index + Entries.Length;
}

/// <param name="Index">Accepted: the follower's log is the leader's up to here, and on its disk. Refused: the previous entry that it has not got.</param>
/// <param name="Hint">Refused: the last entry of the follower that may still be the leader's.</param>
internal sealed record AppendReply(
    MemberId From, MemberId To, long Term, long Session, long Round, bool Accepted, long Index, LogPosition Hint) : Message(From, To, Term);

/// <summary>A part of the leader's snapshot at <paramref name="Position"/>, with the members as of there.</summary>
internal sealed record SnapshotChunk(
    MemberId From, MemberId To, long Term, long Session, LogPosition Position, Membership Membership, long Offset, long Total, ReadOnlyMemory<byte> Data)
    : Message(From, To, Term);

/// <param name="Offset">What the follower wants next; 0 again after it lost the beginning.</param>
/// <param name="Installing">It has all of it and is at work: wait.</param>
internal sealed record SnapshotReply(MemberId From, MemberId To, long Term, long Session, LogPosition Position, long Offset, bool Installing) : Message(From, To, Term);

/// <summary>Stand for election now: I lead, and your log ends where mine does.</summary>
internal sealed record TakeOver(MemberId From, MemberId To, long Term, LogPosition Last) : Message(From, To, Term);
