using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Aisle.Ledger;

/// <summary>Commands and state as UTF-8 JSON, for the log and the snapshots. Equal values give equal bytes: maps are sorted, fields in fixed order.</summary>
internal static class LedgerCodec
{
    /// <exception cref="AisleException">AISLE-2007: the command holds something that cannot be written.</exception>
    public static byte[] Write(LedgerCommand command)
    {
        try
        {
            return JsonSerializer.SerializeToUtf8Bytes(command, LedgerJson.Default.LedgerCommand);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException or ArgumentException)
        {
            throw new AisleException(LedgerCodes.CommandMalformed, $"A {command.GetType().Name} cannot be written: {e.Message}",
                "Give every field of the command a value.", e);
        }
    }

    /// <exception cref="AisleException">AISLE-2007: not a command.</exception>
    public static LedgerCommand ReadCommand(ReadOnlySpan<byte> json) =>
        Read("command", json, LedgerJson.Default.LedgerCommand);

    /// <summary>A batch as it stands in a log record: a JSON array of commands.</summary>
    /// <exception cref="AisleException">AISLE-2007: not a batch.</exception>
    public static ImmutableArray<LedgerCommand> ReadBatch(ReadOnlySpan<byte> json)
    {
        var batch = Read("batch", json, LedgerJson.Default.ImmutableArrayLedgerCommand);
        return !batch.IsDefaultOrEmpty && batch.All(command => command is not null) ? batch : throw NotA("batch", "it is empty or has a hole.", null);
    }

    public static byte[] Write(LedgerState state) => JsonSerializer.SerializeToUtf8Bytes(state, LedgerJson.Default.LedgerState);

    /// <exception cref="AisleException">AISLE-2007: not a state.</exception>
    public static LedgerState ReadState(ReadOnlySpan<byte> json) => Read("state", json, LedgerJson.Default.LedgerState);

    private static T Read<T>(string what, ReadOnlySpan<byte> json, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw NotA(what, "it is null.", null);
        }
        // A converter for a collection may also reject its content by argument or operation: two equal keys, a wrong kind of token.
        catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException or ArgumentException or FormatException)
        {
            throw NotA(what, e.Message, e);
        }
    }

    private static AisleException NotA(string what, string why, Exception? inner) => new(
        LedgerCodes.CommandMalformed, $"This is not a ledger {what}: {why}", "Run the version of aisle that wrote it, or a newer one.", inner);
}

// Strict on purpose: a field this program does not know would be dropped in silence, and two members would disagree.
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    IgnoreReadOnlyProperties = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    MaxDepth = 16)]
[JsonSerializable(typeof(LedgerCommand))]
[JsonSerializable(typeof(ImmutableArray<LedgerCommand>))]
[JsonSerializable(typeof(LedgerState))]
internal sealed partial class LedgerJson : JsonSerializerContext;
