using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Ledger;

/// <summary>A session's number, given by the ledger and never used again. Written <c>session-7</c>, in JSON too.</summary>
[JsonConverter(typeof(SessionIdJson))]
public readonly record struct SessionId(long Number) : IComparable<SessionId>
{
    public override string ToString() => $"session-{Number}";

    public int CompareTo(SessionId other) => Number.CompareTo(other.Number);

    public static bool TryParse(string? text, out SessionId id)
    {
        id = default;
        if (text is null || !text.StartsWith("session-", StringComparison.Ordinal)) return false;
        if (!long.TryParse(text.AsSpan(8), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return false;
        id = new SessionId(number);
        return number > 0;
    }

    public static bool operator <(SessionId left, SessionId right) => left.CompareTo(right) < 0;

    public static bool operator >(SessionId left, SessionId right) => left.CompareTo(right) > 0;

    public static bool operator <=(SessionId left, SessionId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(SessionId left, SessionId right) => left.CompareTo(right) >= 0;
}

public sealed class SessionIdJson : JsonConverter<SessionId>
{
    public override SessionId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName && SessionId.TryParse(reader.GetString(), out var id)
            ? id
            : throw new JsonException("Not a session id: write session- and a number.");

    public override void Write(Utf8JsonWriter writer, SessionId value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());

    public override SessionId ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Read(ref reader, typeToConvert, options);

    public override void WriteAsPropertyName(Utf8JsonWriter writer, [DisallowNull] SessionId value, JsonSerializerOptions options) =>
        writer.WritePropertyName(value.ToString());
}
