using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Ledger;

/// <summary>A number that the ledger gives out and never uses again, written behind a word: <c>job-7</c>, <c>session-7</c>.</summary>
public interface ILedgerNumber<TSelf>
    where TSelf : struct, ILedgerNumber<TSelf>
{
    /// <summary>What stands before the number, with its hyphen.</summary>
    static abstract string Prefix { get; }

    /// <summary>At least 1.</summary>
    long Number { get; }

    static abstract TSelf Of(long number);
}

/// <summary>Such numbers as they are written, in JSON too: as a value and as a key.</summary>
public sealed class LedgerNumberJson<T> : JsonConverter<T>
    where T : struct, ILedgerNumber<T>
{
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName && TryParse(reader.GetString(), out var id)
            ? id
            : throw new JsonException($"Not such an id: write {T.Prefix} and a number.");

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());

    public override T ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Read(ref reader, typeToConvert, options);

    public override void WriteAsPropertyName(Utf8JsonWriter writer, [DisallowNull] T value, JsonSerializerOptions options) =>
        writer.WritePropertyName(value.ToString()!);

    internal static bool TryParse(string? text, out T id)
    {
        id = default;
        if (text is null || !text.StartsWith(T.Prefix, StringComparison.Ordinal)) return false;
        if (!long.TryParse(text.AsSpan(T.Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return false;
        id = T.Of(number);
        return number > 0;
    }
}
