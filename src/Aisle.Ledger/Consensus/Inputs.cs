namespace Aisle.Ledger.Consensus;

// What the shell tells the core. Each comes with the shell's monotonic time, see Raft.Step.

internal abstract record Input;

/// <summary>Time has passed. At least a few times per heartbeat.</summary>
internal sealed record Tick : Input
{
    public static readonly Tick Now = new();
}

internal sealed record Received(Message Message) : Input;

/// <summary>A batch of commands that shall become one entry. Ends with one <see cref="Answer"/>.</summary>
/// <param name="Id">The shell's own number, never used twice: proposals, reads and changes share them.</param>
internal sealed record Propose(long Id, ReadOnlyMemory<byte> Payload) : Input;

/// <summary>A linearizable read. Ends with one <see cref="Answer"/>: once it says <see cref="Verdict.Done"/>, what is applied by then may be read.</summary>
internal sealed record Read(long Id) : Input;

/// <summary>One change of members. Ends with one <see cref="Answer"/>.</summary>
internal sealed record ChangeMembers(long Id, MemberChange Change, MemberId Member) : Input;

internal enum MemberChange : byte
{
    AddLearner,

    /// <summary>A learner that has caught up becomes a voter.</summary>
    Promote,
    Remove,
}

/// <summary>Hand leadership to a voter. Best effort: whether it came to that, a later <see cref="Raft.Leader"/> shows.</summary>
internal sealed record Transfer(MemberId To) : Input;

/// <summary>A <see cref="Persist"/> is on the disk, and all before it. Echoes its <see cref="Persist.Completion"/>.</summary>
internal sealed record Persisted(LogPosition Completion) : Input;

/// <summary>Everything handed over in <see cref="Ready.Apply"/> up to here is applied.</summary>
internal sealed record Applied(long Index) : Input;

/// <summary>The state after <paramref name="Position"/> is in a snapshot on the disk; the log needs nothing up to <paramref name="CompactThrough"/> any more.
/// A margin between the two spares followers that are a little behind the whole state.</summary>
internal sealed record SnapshotMade(LogPosition Position, long CompactThrough) : Input;

/// <summary>What <see cref="Ready.Install"/> asked for is on the disk and is the state now; or, not <paramref name="Good"/>, nothing has changed.</summary>
internal sealed record SnapshotInstalled(LogPosition Position, bool Good) : Input;

/// <summary>The snapshot that is being sent to <paramref name="To"/> is not there any more.</summary>
internal sealed record SnapshotGone(MemberId To) : Input;

/// <summary>The way to a peer broke: what was sent may be lost.</summary>
internal sealed record PeerUnreachable(MemberId Member) : Input;
