using System.Text.Json.Serialization;
using Aisle.Artifacts;

namespace Aisle.Training.Protocol;

/// <summary>Where a worker's weights come from.</summary>
public enum StateSource
{
    /// <summary>From the seed.</summary>
    Initial,
    Checkpoint,
    /// <summary>It has them.</summary>
    Own,
    /// <summary>A donor sends them.</summary>
    Peer,
}

/// <summary>What a coordinator's rules ask of the shell around them.</summary>
public abstract record CoordinatorEffect
{
    private CoordinatorEffect()
    {
    }

    /// <summary>From here on the worker is <see cref="BeginOrder.Member"/>.</summary>
    public sealed record SendBegin(MemberId To, BeginOrder Order) : CoordinatorEffect;

    public sealed record SendPlan(MemberId To, StepPlan Plan) : CoordinatorEffect;

    public sealed record SendSaveOrder(MemberId To, SaveOrder Order) : CoordinatorEffect;

    public sealed record SendSaved(MemberId To, long Step) : CoordinatorEffect;

    /// <summary>Compute these slices of another, too, and say what you get.</summary>
    public sealed record SendAudit(MemberId To, long Step, SliceSet Slices) : CoordinatorEffect;

    /// <summary>All agree on the step's audited slices: it may be made.</summary>
    public sealed record SendCleared(MemberId To, long Step) : CoordinatorEffect;

    /// <summary>The worker computes wrongly. It is out, and refused under that name.</summary>
    /// <param name="Step">Where it was found out.</param>
    /// <param name="Slice">Null when it was not a slice that showed it.</param>
    public sealed record Quarantined(string Name, string Host, string Why, long Step, int? Slice) : CoordinatorEffect;

    /// <summary>What was stored may be spoilt: it is not used, and not to be handed out.</summary>
    public sealed record Withdrawn(long Step, Digest Digest) : CoordinatorEffect;

    public sealed record SendFinished(MemberId To) : CoordinatorEffect;

    /// <summary>Tell the worker why, then hang up.</summary>
    public sealed record Refuse(MemberId To, AisleException Reason) : CoordinatorEffect;

    public sealed record HangUp(MemberId To) : CoordinatorEffect;

    public sealed record Joined(Member Member) : CoordinatorEffect;

    /// <summary>It came without a state and gets it from the others, who go on.</summary>
    public sealed record Learns(Member Member, long From) : CoordinatorEffect;

    /// <summary>It says nothing: others are given its work as well.</summary>
    public sealed record Suspected(Member Member, TimeSpan Silence, TimeSpan At) : CoordinatorEffect;

    /// <summary>A suspect speaks again, and counts again.</summary>
    public sealed record Returned(Member Member) : CoordinatorEffect;

    /// <summary>It asked to leave, and nobody needs it any more.</summary>
    public sealed record WentAway(Member Member) : CoordinatorEffect;

    /// <summary>The run goes on from a state that workers brought along.</summary>
    /// <param name="Holders">Those who have it.</param>
    public sealed record Reunited(long State, int Holders) : CoordinatorEffect;

    public sealed record Left(Member Member, string Reason, TimeSpan At) : CoordinatorEffect;

    public sealed record Viewed(long Epoch, IReadOnlyList<Member> Members) : CoordinatorEffect;

    public sealed record Committed(long State, StateReport Report, int Workers, TimeSpan At) : CoordinatorEffect;

    /// <summary>A member is late in this step: idle ones compute so many of its slices too.</summary>
    public sealed record Hedged(long Step, int Slices) : CoordinatorEffect;

    /// <summary>The first state reached after deaths.</summary>
    public sealed record Recovered(long State, TimeSpan Took, int SlicesRecomputed) : CoordinatorEffect;

    /// <summary>Everyone who held the state is gone: the run goes on from what is stored.</summary>
    public sealed record RolledBack(long From, long To) : CoordinatorEffect;

    public sealed record Stored(long Step, bool IsModel, Digest Digest) : CoordinatorEffect;

    public sealed record NotStored(long Step, string Reason) : CoordinatorEffect;

    public sealed record Completed(long Step) : CoordinatorEffect;

    public sealed record Failed(AisleException Reason) : CoordinatorEffect;
}

/// <summary>What a worker says of the state it has reached.</summary>
/// <param name="WeightsHash">Of all weights: two workers whose hashes differ at one state cannot both be right.</param>
/// <param name="LossPerToken">Mean over the step just made; NaN for the state a worker starts with.</param>
/// <param name="Skipped">The step's gradient did not fit: the weights stayed as they were.</param>
/// <param name="GradientNorm">Of the mean gradient before clipping; NaN where there is none, as is the learning rate.</param>
public readonly record struct StateReport(ulong WeightsHash, double LossPerToken, bool Skipped, double GradientNorm = double.NaN, double LearningRate = double.NaN)
{
    /// <summary>Of the optimiser's values; 0 where they were not hashed.</summary>
    public ulong MomentsHash { get; init; }

    [JsonIgnore]
    public StateHash Hash => new(WeightsHash, MomentsHash);
}
