using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Training.Protocol;

/// <summary>One life of one worker within a job. Never used again: a worker that comes back is another member.</summary>
[JsonConverter(typeof(MemberIdJson))]
public readonly record struct MemberId(int Value) : IComparable<MemberId>
{
    public int CompareTo(MemberId other) => Value.CompareTo(other.Value);

    public override string ToString() => $"#{Value}";

    public static bool operator <(MemberId left, MemberId right) => left.Value < right.Value;

    public static bool operator >(MemberId left, MemberId right) => left.Value > right.Value;

    public static bool operator <=(MemberId left, MemberId right) => left.Value <= right.Value;

    public static bool operator >=(MemberId left, MemberId right) => left.Value >= right.Value;
}

internal sealed class MemberIdJson : JsonConverter<MemberId>
{
    public override MemberId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => new(reader.GetInt32());

    public override void Write(Utf8JsonWriter writer, MemberId value, JsonSerializerOptions options) => writer.WriteNumberValue(value.Value);
}

/// <summary>A worker and where its peers reach it.</summary>
public sealed record Member(MemberId Id, string Name, string Host, int Port);

/// <summary>
/// Slices that one member computes and hands on as one sum. When it cannot be counted on, others are given parts of the same slices as well: any two
/// units of a step are nested or disjoint, never half overlapping, and whichever result comes first counts.
/// </summary>
/// <param name="Member">Null when the member is gone: its slices are in other units, or somebody already holds the finished step.</param>
public sealed record Unit(int Id, SliceSet Slices, MemberId? Member);

/// <summary>A member without state: it receives this step's reduced gradients like everyone, and asks the donors for the state they apply to, piece by piece.</summary>
public sealed record Learner(Member Member, ImmutableArray<MemberId> Donors);

/// <summary>Who stores state <paramref name="Step"/>.</summary>
/// <param name="Keepers">The first writes; the others keep a copy until it is announced as stored.</param>
public sealed record SaveOrder(long Step, bool Checkpoint, bool Model, ImmutableArray<MemberId> Keepers)
{
    /// <summary>Of the begin that the state was made in: see <see cref="BeginOrder.Generation"/>.</summary>
    public long Generation { get; init; }
}

/// <summary>Who does what in one step. A death in mid-step brings a revised plan of the same step with a higher epoch.</summary>
public sealed record StepPlan
{
    /// <summary>Grows with every plan of a job; of two plans for one step the higher one holds.</summary>
    public required long Epoch { get; init; }

    /// <summary>The step that takes state <c>Step</c> to <c>Step + 1</c>.</summary>
    public required long Step { get; init; }

    /// <summary>Nobody lacks anything of the steps before this one: they may be forgotten. At most the step before the plan's own.</summary>
    public required long Oldest { get; init; }

    /// <summary>All with a state: they compute, own shards and receive.</summary>
    public required ImmutableArray<Member> Members { get; init; }

    public ImmutableArray<Learner> Learners { get; init; } = [];

    public required ImmutableArray<Unit> Units { get; init; }

    /// <summary>Shard → the member that sums it and hands the sum to everyone.</summary>
    public required ImmutableArray<MemberId> ShardOwners { get; init; }

    /// <summary>Slices that a second worker computes too. Each worker says what it gets for them, and waits with the step until it is told that all agree.</summary>
    public SliceSet Audited { get; init; } = SliceSet.Empty;

    /// <summary>The first step of members that stay as they are: each computes one slice, and shards go round.</summary>
    public static StepPlan OfFixed(ImmutableArray<Member> members, int shards) => new()
    {
        Epoch = 1,
        Step = 0,
        Oldest = -1,
        Members = members,
        Units = [.. members.Select(member => new Unit(member.Id.Value, SliceSet.Range(member.Id.Value, member.Id.Value + 1), member.Id))],
        ShardOwners = [.. Enumerable.Range(0, shards).Select(shard => members[shard % members.Length].Id)],
    };

    [JsonIgnore]
    public IEnumerable<Member> Receivers => Members.Concat(Learners.Select(learner => learner.Member));
}
