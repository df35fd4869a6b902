using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Aisle.Artifacts;
using Aisle.Ledger;

namespace Aisle.Jobs;

/// <summary>
/// All that a job is given, and nothing else: its result is a pure function of this value. Machines, worker counts, priorities and
/// times are not here, so they cannot change a result. Stored as an artifact with the one entry <c>spec.json</c>.
/// </summary>
public sealed record JobSpec
{
    public required JobKind Kind { get; init; }

    /// <summary>The entry that holds a spec in its artifact.</summary>
    public const string EntryName = "spec.json";

    /// <summary>What to run, with its version: <c>tokenize@1</c>. The version grows when the program's output would change.</summary>
    public required string Program { get; init; }

    /// <summary>Values as text, invariant culture, defaults filled in: <c>vocabularySize</c> → <c>2048</c>, <c>model.layers</c> → <c>4</c>.</summary>
    public ImmutableSortedDictionary<string, string> Parameters { get; init; } = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);

    /// <summary>Port → artifact. Each is a folder to the program.</summary>
    public ImmutableSortedDictionary<string, Digest> Inputs { get; init; } = ImmutableSortedDictionary.Create<string, Digest>(StringComparer.Ordinal);

    /// <summary>Ports the program fills, each a folder that becomes an artifact. Sorted.</summary>
    public ImmutableArray<string> Outputs { get; init; } = [];

    public ulong Seed { get; init; }

    /// <summary>Numeric class the floating-point bits depend on; null where a program's output is integers and text.</summary>
    public string? NumericClass { get; init; }

    /// <summary>Digest of the canonical form: same identity, same result.</summary>
    [JsonIgnore]
    public Digest Identity => Digest.Of(ToCanonicalJson().Span);

    /// <summary>The one way to write this value: fields in fixed order, maps sorted by ordinal key, no white space, absent when empty.</summary>
    public ReadOnlyMemory<byte> ToCanonicalJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("kind", Kind.ToString());
            json.WriteString("program", Program);
            json.WriteStartObject("parameters");
            foreach (var (name, value) in Parameters) json.WriteString(name, value);
            json.WriteEndObject();
            json.WriteStartObject("inputs");
            foreach (var (port, digest) in Inputs) json.WriteString(port, digest.ToString());
            json.WriteEndObject();
            json.WriteStartArray("outputs");
            foreach (var port in Outputs) json.WriteStringValue(port);
            json.WriteEndArray();
            json.WriteNumber("seed", Seed);
            if (NumericClass is not null) json.WriteString("numericClass", NumericClass);
            json.WriteEndObject();
        }
        return buffer.WrittenMemory;
    }

    /// <exception cref="AisleException">AISLE-3001: not a job spec.</exception>
    public static JobSpec Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, JobsJson.Default.JobSpec) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new AisleException("AISLE-3001", $"This is not a job spec: {e.Message}", "Read it back with `aisle show JOB --json`.", e);
        }
    }
}
