using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Ledger;

/// <summary>A job's number, given by the ledger and never used again. Written <c>job-7</c>, in JSON too.</summary>
[JsonConverter(typeof(JobIdJson))]
public readonly record struct JobId(long Number) : IComparable<JobId>
{
    public override string ToString() => $"job-{Number}";

    public int CompareTo(JobId other) => Number.CompareTo(other.Number);

    public static bool TryParse(string? text, out JobId id)
    {
        id = default;
        if (text is null || !text.StartsWith("job-", StringComparison.Ordinal)) return false;
        if (!long.TryParse(text.AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return false;
        id = new JobId(number);
        return number > 0;
    }

    public static bool operator <(JobId left, JobId right) => left.CompareTo(right) < 0;

    public static bool operator >(JobId left, JobId right) => left.CompareTo(right) > 0;

    public static bool operator <=(JobId left, JobId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(JobId left, JobId right) => left.CompareTo(right) >= 0;
}

public sealed class JobIdJson : JsonConverter<JobId>
{
    public override JobId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName && JobId.TryParse(reader.GetString(), out var id)
            ? id
            : throw new JsonException("Not a job id: write job- and a number.");

    public override void Write(Utf8JsonWriter writer, JobId value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());

    public override JobId ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Read(ref reader, typeToConvert, options);

    public override void WriteAsPropertyName(Utf8JsonWriter writer, [DisallowNull] JobId value, JsonSerializerOptions options) =>
        writer.WritePropertyName(value.ToString());
}
