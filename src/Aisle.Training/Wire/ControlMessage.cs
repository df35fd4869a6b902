using System.Collections.Immutable;
using System.Text.Json.Serialization;
using System.Text.Json;
using Aisle.Artifacts;
using Aisle.Monitoring;
using Aisle.Training.Protocol;

namespace Aisle.Training.Wire;

/// <summary>What coordinator and workers say to each other. JSON: a few kilobytes a step.</summary>
[JsonDerivedType(typeof(Introduce), "introduce")]
[JsonDerivedType(typeof(Welcome), "welcome")]
[JsonDerivedType(typeof(Refused), "refused")]
[JsonDerivedType(typeof(Begin), "begin")]
[JsonDerivedType(typeof(Plan), "plan")]
[JsonDerivedType(typeof(OrderAudit), "orderAudit")]
[JsonDerivedType(typeof(SliceHashed), "sliceHashed")]
[JsonDerivedType(typeof(Cleared), "cleared")]
[JsonDerivedType(typeof(SelfAccused), "selfAccused")]
[JsonDerivedType(typeof(Reached), "reached")]
[JsonDerivedType(typeof(Learning), "learning")]
[JsonDerivedType(typeof(Unreachable), "unreachable")]
[JsonDerivedType(typeof(OrderSave), "orderSave")]
[JsonDerivedType(typeof(Saved), "saved")]
[JsonDerivedType(typeof(NotSaved), "notSaved")]
[JsonDerivedType(typeof(SaveAnnounced), "saveAnnounced")]
[JsonDerivedType(typeof(Finished), "finished")]
[JsonDerivedType(typeof(Computed), "computed")]
[JsonDerivedType(typeof(Leave), "leave")]
[JsonDerivedType(typeof(Heartbeat), "heartbeat")]
internal abstract record ControlMessage
{
    private ControlMessage()
    {
    }

    /// <summary>A worker's first message. The host is the address it called from.</summary>
    public sealed record Introduce(string Name, int Port, RunShape Run, long TokensPerStep, Digest Canary, string NumericClass, Returning? Returning) : ControlMessage;

    public sealed record Welcome(MemberId Member) : ControlMessage;

    public sealed record Refused(string Code, string What, string Next) : ControlMessage;

    public sealed record Begin(BeginOrder Order) : ControlMessage;

    public sealed record Plan(StepPlan Step) : ControlMessage;

    /// <param name="Life">Of the begin that the worker lives by.</param>
    /// <param name="Times">Of the step just made; all zero for the state a worker starts with.</param>
    public sealed record Reached(long Life, long State, StateReport Report, StepTimes Times) : ControlMessage;

    /// <summary>The worker has no state yet, but everything of the steps before <paramref name="State"/>.</summary>
    public sealed record Learning(long Life, long State) : ControlMessage;

    /// <summary>Slices of others to compute as well.</summary>
    public sealed record OrderAudit(long Step, SliceSet Slices) : ControlMessage;

    /// <summary>What a slice's gradient and loss came to.</summary>
    public sealed record SliceHashed(long Life, long Step, int Slice, UInt128 Hash) : ControlMessage;

    /// <summary>All agree on the step's audited slices.</summary>
    public sealed record Cleared(long Step) : ControlMessage;

    /// <summary>The worker's memory is not what it was.</summary>
    public sealed record SelfAccused(long Life, long State, string What) : ControlMessage;

    public sealed record Unreachable(long Life, MemberId Peer) : ControlMessage;

    public sealed record OrderSave(SaveOrder Order) : ControlMessage;

    public sealed record Saved(long Step, Digest? Checkpoint, Digest? Model, long Generation, StateHash Hash) : ControlMessage;

    public sealed record NotSaved(long Step, string Reason) : ControlMessage;

    public sealed record SaveAnnounced(long Step) : ControlMessage;

    public sealed record Finished : ControlMessage;

    /// <summary>The worker has computed a whole unit.</summary>
    public sealed record Computed(long Life, int Unit) : ControlMessage;

    /// <summary>The worker wants to go when it is not needed any more.</summary>
    public sealed record Leave : ControlMessage;

    public sealed record Heartbeat : ControlMessage;

    /// <exception cref="AisleException">AISLE-5131: not such a message.</exception>
    public static ControlMessage Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            var message = JsonSerializer.Deserialize(json, WireJson.Default.ControlMessage) ?? throw new JsonException("null");
            if (message is Plan { Step: var plan } && (plan.Members.IsDefault || plan.Units.IsDefault || plan.ShardOwners.IsDefault || plan.Learners.IsDefault || plan.Step < 0
                || plan.Units.Any(unit => unit?.Slices is null) || plan.Members.Any(member => member is null) || plan.Learners.Any(learner => learner?.Member is null || learner.Donors.IsDefault)))
            {
                throw new JsonException("a plan lacks a part");
            }
            if (message is Begin { Order: { Step: < 0 } or { Source: StateSource.Checkpoint, Checkpoint: null } }) throw new JsonException("a begin lacks its state");
            if (message is Introduce { Returning: { State: < 0 } or { Peers: < 0 } }) throw new JsonException("no worker brings such a state");
            if (message is Begin { Order: { } begin } && !IsWhole(begin.ShutOut) || message is Introduce { Returning: { } returning } && !IsWhole(returning.ShutOut)) throw new JsonException("who was shut out is not said");
            if (message is OrderSave { Order: var order } && (order is null || order.Keepers.IsDefaultOrEmpty)) throw new JsonException("an order to save lacks its keepers");
            return message;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or FormatException)
        {
            throw new AisleException("AISLE-5131", $"A control message cannot be read: {e.Message}", "Start the coordinator and all workers from one version.", e);
        }
    }

    private static bool IsWhole(ImmutableArray<ShutOut> shutOut) => !shutOut.IsDefault && shutOut.Length <= ShutOut.Most && shutOut.All(worker => worker is { Name: not null, Host: not null, Why: not null });

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, WireJson.Default.ControlMessage);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(ControlMessage))]
internal sealed partial class WireJson : JsonSerializerContext;
