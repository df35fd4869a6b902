using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Identity;

/// <summary>The roster as JSON: <c>{"version":1,"tokens":[…],"nodes":[…],"denied":[…],"denyVersion":N}</c>.</summary>
internal static class RosterFile
{
    private const int Version = 1;
    private const int MaxBytes = 16 << 20;

    public static byte[] Encode(JoinRoster roster) => JsonSerializer.SerializeToUtf8Bytes(new WrittenRoster(
        Version, [.. roster.Tokens.Values.OrderBy(token => token.Id, StringComparer.Ordinal)],
        [.. roster.Nodes.OrderBy(held => held.Key).Select(held => new WrittenEnrolment(held.Key, held.Value))], [.. roster.Denied], roster.DenyVersion), IdentityJson.Default.WrittenRoster);

    /// <summary>An absent file is an empty roster.</summary>
    /// <exception cref="AisleException">AISLE-8003, AISLE-8004.</exception>
    public static JoinRoster Read(string file) => File.Exists(file) ? Decode(PrivateFile.Read(file, MaxBytes), file) : JoinRoster.Empty;

    internal static JoinRoster Decode(byte[] content, string file)
    {
        try
        {
            var written = JsonSerializer.Deserialize(content, IdentityJson.Default.WrittenRoster) ?? throw Damaged(file, "it is empty");
            if (written.Version != Version) throw Damaged(file, $"it has version {written.Version}, and this program reads {Version}");
            return new JoinRoster(written.Tokens.ToImmutableDictionary(token => token.Id), written.Nodes.ToImmutableDictionary(held => held.Node, held => held.Held),
                [.. written.Denied], written.DenyVersion);
        }
        catch (Exception damage) when (damage is JsonException or ArgumentException or NullReferenceException or NotSupportedException)
        {
            throw Damaged(file, damage.Message);
        }
    }

    private static AisleException Damaged(string file, string why) => new("AISLE-8004", $"'{file}' is damaged: {why}.",
        "Put back a copy of it that is whole. A token that was used after the copy was made counts as unused again: let them all expire first.");
}

internal sealed record WrittenRoster(int Version, TokenRecord[] Tokens, WrittenEnrolment[] Nodes, NodeId[] Denied, long DenyVersion);

internal sealed record WrittenEnrolment(NodeId Node, Enrolment Held);

internal sealed class NodeIdJson : JsonConverter<NodeId>
{
    public override NodeId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && NodeId.TryParse(reader.GetString(), out var id) ? id : throw new JsonException("Not a node's name.");

    public override void Write(Utf8JsonWriter writer, NodeId value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, Converters = [typeof(NodeIdJson)],
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(WrittenRoster))]
[JsonSerializable(typeof(AuthorityHello))]
[JsonSerializable(typeof(JoinQuestion))]
[JsonSerializable(typeof(RenewalQuestion))]
[JsonSerializable(typeof(AuthorityAnswer))]
internal sealed partial class IdentityJson : JsonSerializerContext;
