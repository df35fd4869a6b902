using System.Collections.Immutable;

namespace Aisle.Ledger.Consensus;

/// <summary>
/// What the core wants done. Parts are independent of each other, except: persists are carried out in the order in which they were taken, and
/// <see cref="Apply"/>, <see cref="Store"/>, <see cref="Install"/> in this order.
/// </summary>
internal sealed class Ready
{
    /// <summary>May leave at once.</summary>
    public required IReadOnlyList<Message> Send { get; init; }

    public required Persist? Persist { get; init; }

    /// <summary>Committed; the next ones come when these are <see cref="Applied"/>.</summary>
    public required ImmutableArray<Entry> Apply { get; init; }

    /// <summary>Parts of a snapshot to keep, in order; the one at offset 0 begins anew.</summary>
    public required IReadOnlyList<SnapshotChunk> Store { get; init; }

    /// <summary>All of it is stored: check it, put it on the disk, make it the state, and say <see cref="SnapshotInstalled"/>. May take its time.</summary>
    public required LogPosition? Install { get; init; }

    /// <summary>Parts of the own snapshot to read and send.</summary>
    public required IReadOnlyList<ChunkWanted> Chunks { get; init; }

    public required IReadOnlyList<Answer> Answers { get; init; }
}

/// <summary>One write: the parts in this order, then one flush, then <see cref="Release"/> may leave and <see cref="Persisted"/> is said. Without any part to write it only waits its turn.</summary>
/// <param name="State">Term and vote, before the entries of that term.</param>
/// <param name="Base">The log begins after this entry now; those up to it are in the snapshot.</param>
/// <param name="TruncateFrom">Entries from here on are dropped; 0: none.</param>
/// <param name="Entries">Appended.</param>
/// <param name="Release">Messages that promise what this wrote.</param>
/// <param name="Completion">Not an entry's position: the term in which this was written, and how far the log is then known to be right.</param>
internal sealed record Persist(
    HardState? State, LogPosition? Base, long TruncateFrom, IReadOnlyList<Entry> Entries, IReadOnlyList<Message> Release, LogPosition Completion)
{
    public bool WritesNothing => State is null && Base is null && TruncateFrom == 0 && Entries.Count == 0;
}

/// <summary>Read the snapshot at <see cref="Position"/> from <see cref="Offset"/> on, and send the bytes as a <see cref="SnapshotChunk"/> of these fields, a few hundred KiB at a time.</summary>
internal sealed record ChunkWanted(MemberId To, long Term, long Session, LogPosition Position, Membership Membership, long Offset);

internal enum Verdict : byte
{
    /// <summary>A proposal or change has committed; a read may read.</summary>
    Done,

    /// <summary>Leadership was lost meanwhile: it may commit or not. Asking again is safe with the session and sequence of the command.</summary>
    Unknown,

    // Nothing was done:
    NotLeader,

    /// <summary>A leader with too much on hand, or one that is handing over: ask again soon.</summary>
    Busy,
    ChangeTooEarly,
    NotCaughtUp,
    NoLiveMajority,
    UnfitMember,
}

/// <summary>The end of a proposal, read or change.</summary>
/// <param name="Position">Where it stands; of a read the index it has seen.</param>
/// <param name="Leader">Whom to ask instead; nobody when that is unknown.</param>
internal readonly record struct Answer(long Id, Verdict Verdict, LogPosition Position, MemberId Leader);
