namespace Aisle.Training.Protocol;

/// <summary>What a worker's rules ask of the shell around them. Carried out in the order given.</summary>
public enum WorkerAction
{
    /// <summary>Compute the unit's slices on the weights of this step, then report <see cref="WorkerProtocol.UnitComputed"/> or, shard by shard, <see cref="WorkerProtocol.UnitShardComputed"/>.</summary>
    Compute,

    /// <summary>Add this worker's own unit to the shard's sum.</summary>
    FoldOwn,

    /// <summary>Add the contribution that has just arrived to the shard's sum.</summary>
    FoldArrived,

    /// <summary>Every slice is in the shard's sum: turn it into the mean gradient, then report <see cref="WorkerProtocol.ShardReduced"/>.</summary>
    Reduce,

    /// <summary>Keep the reduced shard that has just arrived.</summary>
    KeepArrived,

    SendContribution,

    SendReduced,

    /// <summary>All shards are reduced: stop computing for this step, update the weights, then report <see cref="WorkerProtocol.Applied"/>.</summary>
    Apply,

    /// <summary>Compute slice <c>Unit</c>, another's, on the weights of this step, and tell the coordinator what came out.</summary>
    Audit,

    /// <summary>Tell the coordinator that state <c>Step</c> is reached.</summary>
    ReportState,

    /// <summary>Send the shard's piece of the present state to the peer, a learner.</summary>
    SendState,

    /// <summary>Ask the peer for the shard's piece of its state, which is to be <c>Step</c> or a later one.</summary>
    AskState,

    /// <summary>No state is here yet, but some of its pieces: make the step's update of those that are at <c>Step</c>, then report <see cref="WorkerProtocol.Followed"/>.</summary>
    Follow,

    /// <summary>Tell the coordinator how far this learner is: it has everything of the steps before <c>Step</c>.</summary>
    ReportLearning,

    /// <summary>All pieces are here and at <c>Step</c>: it is this worker's state. Then report <see cref="WorkerProtocol.StateArrived"/>.</summary>
    BecomeState,

    /// <summary>Copy the present state: it is <c>Step</c> and may be written later.</summary>
    KeepSnapshot,

    /// <summary>Write the copy of state <c>Step</c> as the plan's order says and tell the coordinator.</summary>
    WriteSnapshot,

    /// <summary>Tell the coordinator that the copy it wants written is not here.</summary>
    ReportNoSnapshot,

    DropSnapshot,

    /// <summary>Nobody needs anything of the step any more.</summary>
    Release,
}

public readonly record struct WorkerEffect(WorkerAction Action, long Step, int Unit = -1, int Shard = -1, MemberId Peer = default);
