using System.Buffers;
using System.Collections.Immutable;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Aisle.Pipelines;

/// <summary>A graph of steps that has been checked: every program, port and parameter exists, every value is in range, and nothing waits for itself.</summary>
public sealed partial record PipelineSpec
{
    /// <summary>For people; not part of any identity.</summary>
    public required string Name { get; init; }

    /// <summary>Input → what it is: a name in the data centre, with or without <c>@alias</c>, or a digest.</summary>
    public required ImmutableSortedDictionary<string, string> Inputs { get; init; }

    /// <summary>Each after the steps it needs, otherwise as written.</summary>
    public required ImmutableArray<PipelineStep> Steps { get; init; }

    /// <summary>What the run gives: output → port of a step.</summary>
    public required ImmutableSortedDictionary<string, PortReference> Outputs { get; init; }

    /// <summary>Names to move when the run has succeeded: name in the data centre → output.</summary>
    public required ImmutableSortedDictionary<string, string> Publish { get; init; }

    /// <summary>Reads a spec.</summary>
    /// <param name="sets">Overrides, each <c>path.in.spec=value</c>.</param>
    /// <exception cref="SpecException">AISLE-4001, with every fault, its line and column, and the nearest right spelling.</exception>
    public static PipelineSpec Parse(string yaml, IReadOnlyList<string>? sets = null) => SpecReader.Read(yaml, sets ?? []);

    /// <summary>The whole spec in one form, defaults and programs' versions filled in, overrides applied. <see cref="Parse"/> reads it back (JSON is YAML).</summary>
    public string ToText() => Write(wholeSpec: true);

    /// <summary>What decides the results and nothing else: without name, workers, audits, names to publish, and where inputs come from. Steps are sorted by name.</summary>
    internal string ToIdentityText() => Write(wholeSpec: false);

    private string Write(bool wholeSpec)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (wholeSpec) json.WriteString("name", Name);
            json.WriteStartObject("inputs");
            foreach (var (name, from) in Inputs) json.WriteString(name, wholeSpec ? from : "");
            json.WriteEndObject();
            json.WriteStartObject("steps");
            foreach (var step in wholeSpec ? Steps : Steps.Sort((x, y) => string.CompareOrdinal(x.Name, y.Name))) Write(json, step, wholeSpec);
            json.WriteEndObject();
            json.WriteStartObject("outputs");
            foreach (var (name, from) in Outputs) json.WriteString(name, from.ToString());
            json.WriteEndObject();
            if (wholeSpec)
            {
                json.WriteStartObject("publish");
                foreach (var (name, output) in Publish) json.WriteString(name, output);
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void Write(Utf8JsonWriter json, PipelineStep step, bool wholeSpec)
    {
        json.WriteStartObject(step.Name);
        json.WriteString("use", step.Program.Id);
        json.WriteStartObject("in");
        foreach (var (port, from) in step.Inputs) json.WriteString(port, from.ToString());
        json.WriteEndObject();
        json.WriteStartObject("with");
        foreach (var (name, value) in step.Parameters) json.WriteString(name, value);
        json.WriteEndObject();
        if (wholeSpec && step.Workers != 1) json.WriteNumber("workers", step.Workers);
        if (wholeSpec && step.Audit is { } audit) json.WriteString("audit", audit.Text);
        json.WriteEndObject();
    }

    [GeneratedRegex("^[a-z][a-z0-9-]{0,63}$")]
    internal static partial Regex StepName { get; }

    /// <summary>A name in the data centre: parts joined by slashes, without alias.</summary>
    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,15}$")]
    internal static partial Regex DataName { get; }
}

/// <param name="Inputs">Port → where its folder comes from.</param>
/// <param name="Parameters">All the program's parameters in canonical form, defaults filled in.</param>
/// <param name="Workers">Processes wanted; changes no result.</param>
public sealed record PipelineStep(
    string Name, PipelineProgram Program, ImmutableSortedDictionary<string, PortReference> Inputs, ImmutableSortedDictionary<string, string> Parameters, int Workers)
{
    /// <summary>How many slices of a training step a second worker computes too; null where nobody said. Changes no result.</summary>
    public AuditFraction? Audit { get; init; }

    /// <summary>The parameter that becomes a job's seed.</summary>
    internal const string Seed = "seed";
}

/// <summary>An input of the pipeline, or a port of a step.</summary>
/// <param name="Step">Null for an input.</param>
/// <param name="Port">The input's name, or the step's port.</param>
public readonly record struct PortReference(string? Step, string Port)
{
    public override string ToString() => Step is null ? Port : $"{Step}.{Port}";
}
