using System.Collections.Immutable;
using Aisle.Artifacts;
using Aisle.Ledger;

namespace Aisle.Pipelines;

/// <summary>From nodes to a checked spec. Reads on after a fault, so that all are told at once.</summary>
internal sealed class SpecReader
{
    private const int MaxWorkers = 4096;
    private const int MaxSteps = 500;  // so that the spec with all defaults filled in stays far below YamlReader's limit
    private readonly SpecFaults _faults = new();
    private readonly Dictionary<string, string> _inputs = [];
    private readonly Dictionary<string, (PipelineProgram? Program, SpecMap Map, Place Place)> _steps = [];

    public static PipelineSpec Read(string yaml, IReadOnlyList<string> sets)
    {
        var reader = new SpecReader();
        var root = YamlReader.Read(yaml, reader._faults);
        if (root is not null and not SpecMap) reader._faults.Add(root.Place, $"a spec is a map with name, inputs, steps and outputs; this is {root.Kind}");
        if (root is not SpecMap map) throw reader._faults.ToException();
        SpecOverrides.Apply(map, sets, reader._faults);
        var spec = reader.ReadSpec(map);
        return reader._faults.Any ? throw reader._faults.ToException() : spec;
    }

    private PipelineSpec ReadSpec(SpecMap root)
    {
        CheckKeys(root, "spec", ["name", "inputs", "steps", "outputs", "publish"]);
        var name = TextAt(root, "name", "the spec");
        if (name is not null && !PipelineSpec.StepName.IsMatch(name)) _faults.Add(root.Find("name")!.Place, $"the name `{name}` has other signs than a-z, 0-9 and -, or does not start with a letter");
        foreach (var (input, place, value) in MapAt(root, "inputs", "the spec", required: false)) ReadInput(input, place, value);
        var written = MapAt(root, "steps", "the spec");
        if (written.Count > MaxSteps) _faults.Add(written[MaxSteps].Place, $"the spec has {written.Count} steps; the limit is {MaxSteps}");
        foreach (var (step, place, value) in written.Take(MaxSteps)) FindStep(step, place, value);
        var steps = _steps.Select(entry => ReadStep(entry.Key, entry.Value.Program, entry.Value.Map)).ToList();
        var outputs = ImmutableSortedDictionary.CreateBuilder<string, PortReference>(StringComparer.Ordinal);
        var named = MapAt(root, "outputs", "the spec");
        foreach (var (output, place, value) in named)
        {
            CheckName("output", output, place);
            if (ReadReference(value, outputOf: "an output") is { } from) outputs[output] = from;
        }
        var publish = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var (target, place, value) in MapAt(root, "publish", "the spec", required: false)) ReadPublish(target, place, value, [.. named.Select(output => output.Key)], publish);
        return new PipelineSpec
        {
            Name = name ?? "",
            Inputs = _inputs.ToImmutableSortedDictionary(StringComparer.Ordinal),
            Steps = InOrder([.. steps.OfType<PipelineStep>()]),
            Outputs = outputs.ToImmutable(),
            Publish = publish.ToImmutable(),
        };
    }

    private void ReadInput(string input, Place place, SpecNode value)
    {
        CheckName("input", input, place);
        var from = Text(value, $"input `{input}`");
        if (from is not null && !IsData(from)) _faults.Add(value.Place, $"`{from}` is neither a name such as data/text, with or without @alias, nor sha256: and 64 hex digits");
        _inputs[input] = from ?? "";
    }

    private static bool IsData(string from) => from.StartsWith("sha256:", StringComparison.Ordinal)
        ? Digest.TryParse(from, out _)
        : from.Split('@') is [var name, .. var alias] && PipelineSpec.DataName.IsMatch(name) && (alias is [] || alias is [var one] && PipelineSpec.DataName.IsMatch(one));

    private void FindStep(string step, Place place, SpecNode value)
    {
        CheckName("step", step, place);
        if (_inputs.ContainsKey(step)) _faults.Add(place, $"`{step}` is an input and a step; give one of them another name");
        if (value is not SpecMap map)
        {
            _faults.Add(value.Place, $"step `{step}` is a map with use, in, with, workers and audit; this is {value.Kind}");
            return;
        }
        CheckKeys(map, "step", ["use", "in", "with", "workers", "audit"]);
        PipelineProgram? program = null;
        if (TextAt(map, "use", $"step `{step}`", place) is { } use)
        {
            program = ProgramCatalogue.Find(use);
            if (program is null) _faults.Add(map.Find("use")!.Place, UnknownProgram(use));
        }
        _steps[step] = (program, map, place);
    }

    private static string UnknownProgram(string use) => use.Split('@') is [var name, ..] && ProgramCatalogue.Find(name) is { } other
        ? $"there is no `{use}` here; this version of Aisle has `{other.Id}`"
        : $"there is no program `{use}`{NearestName.Hint(use, ProgramCatalogue.Names)}";

    private PipelineStep? ReadStep(string step, PipelineProgram? program, SpecMap map)
    {
        if (program is null) return null;
        return new PipelineStep(step, program, ReadInputs(step, program, map), ReadParameters(program, map.Find("with")), ReadWorkers(step, program, map.Find("workers")))
        {
            Audit = ReadAudit(step, program, map.Find("audit")),
        };
    }

    private ImmutableSortedDictionary<string, PortReference> ReadInputs(string step, PipelineProgram program, SpecMap map)
    {
        var inputs = ImmutableSortedDictionary.CreateBuilder<string, PortReference>(StringComparer.Ordinal);
        var value = map.Find("in");
        if (value is SpecText && program.Inputs is [var only])
        {
            if (ReadReference(value) is { } from) inputs[only] = from;
        }
        else if (value is SpecMap ports)
        {
            foreach (var (port, place, source) in ports.Entries)
            {
                if (!program.Inputs.Contains(port)) _faults.Add(place, $"`{program.Name}` has no input port `{port}`{NearestName.Hint(port, program.Inputs)}");
                else if (ReadReference(source) is { } from) inputs[port] = from;
            }
            var missing = program.Inputs.Except(program.Optional).Where(port => ports.Find(port) is null).ToList();
            if (missing.Count > 0) _faults.Add(ports.Place, $"step `{step}` lacks the input {string.Join(" and ", missing.Select(port => $"`{port}`"))} of `{program.Name}`");
        }
        else
        {
            _faults.Add(value?.Place ?? _steps[step].Place, $"step `{step}` needs `in: {{ {string.Join(", ", program.Inputs.Select(port => $"{port}: …"))} }}`");
        }
        return inputs.ToImmutable();
    }

    /// <summary>An input, a step (its first port), or step.port.</summary>
    private PortReference? ReadReference(SpecNode value, string? outputOf = null)
    {
        if (Text(value, outputOf ?? "an input port") is not { } written) return null;
        if (outputOf is null && _inputs.ContainsKey(written)) return new PortReference(null, written);
        var (name, port) = written.Split('.', 2) is [var step, var named] ? (step, named) : (written, null);
        if (!_steps.TryGetValue(name, out var found))
        {
            var (known, what) = outputOf is null ? (_inputs.Keys.Concat(_steps.Keys), "input or step") : (_steps.Keys, "step");
            _faults.Add(value.Place, $"there is no {what} `{name}`{NearestName.Hint(name, known)}");
            return null;
        }
        if (found.Program is not { } program) return null;
        if (port is not null && !program.Outputs.Contains(port))
        {
            _faults.Add(value.Place, $"`{program.Name}` has no output port `{port}`{NearestName.Hint(port, program.Outputs)}");
            return null;
        }
        return new PortReference(name, port ?? program.Outputs[0]);
    }

    private ImmutableSortedDictionary<string, string> ReadParameters(PipelineProgram program, SpecNode? with)
    {
        var values = program.Parameters.Where(parameter => parameter is not OptionalParameter)
            .ToImmutableSortedDictionary(parameter => parameter.Name, parameter => parameter.Default, StringComparer.Ordinal).ToBuilder();
        var written = new HashSet<string>();
        if (with is SpecMap map) ReadGroup("", map);
        else if (with is not null && with is not SpecText { Text: "" }) _faults.Add(with.Place, $"`with` is a map of parameters; this is {with.Kind}");
        return values.ToImmutable();

        void ReadGroup(string group, SpecMap entries)
        {
            foreach (var (key, place, value) in entries.Entries)
            {
                var name = group + key;
                var parameter = program.Parameters.FirstOrDefault(parameter => parameter.Name == name);
                if (program.Parameters.Any(other => other.Name.StartsWith(name + ".", StringComparison.Ordinal)))
                {
                    if (value is SpecMap inner) ReadGroup(name + ".", inner);
                    else _faults.Add(value.Place, $"`{name}` is a map of parameters; this is {value.Kind}");
                }
                else if (parameter is null) _faults.Add(place, $"`{program.Name}` has no parameter `{name}`{NearestName.Hint(name, program.Parameters.Select(parameter => parameter.Name))}");
                else if (!written.Add(name)) _faults.Add(place, $"`{name}` is there twice");
                else if (value is not SpecText text) _faults.Add(value.Place, $"`{name}` is {parameter.Expected}; this is {value.Kind}");
                else if (!parameter.TryRead(text.Text, out var canonical)) _faults.Add(value.Place, $"`{name}` is {parameter.Expected}; this is `{Shortened(text.Text)}`");
                else values[name] = canonical;
            }
        }
    }

    private int ReadWorkers(string step, PipelineProgram program, SpecNode? value)
    {
        if (value is null || Text(value, "`workers`") is not { } text) return 1;
        if (program.Kind != JobKind.Train) _faults.Add(value.Place, $"step `{step}` is one process; only training takes `workers`");
        else if (int.TryParse(text, System.Globalization.NumberStyles.None, null, out var workers) && workers is >= 1 and <= MaxWorkers) return workers;
        else _faults.Add(value.Place, $"`workers` is a whole number from 1 to {MaxWorkers}; this is `{Shortened(text)}`");
        return 1;
    }

    private AuditFraction? ReadAudit(string step, PipelineProgram program, SpecNode? value)
    {
        if (value is null || Text(value, "`audit`") is not { } text) return null;
        if (program.Kind != JobKind.Train) _faults.Add(value.Place, $"step `{step}` is one process; only training takes `audit`");
        else if (AuditFraction.TryParse(text, out var audit)) return audit;
        else _faults.Add(value.Place, $"`audit` is {AuditFraction.Expected}; this is `{Shortened(text)}`");
        return null;
    }

    private void ReadPublish(string target, Place place, SpecNode value, List<string> outputs, ImmutableSortedDictionary<string, string>.Builder publish)
    {
        if (!PipelineSpec.DataName.IsMatch(target)) _faults.Add(place, $"`{target}` cannot be a name in the data centre; write it like models/quickstart");
        if (Text(value, $"`{target}`") is not { } output) return;
        if (!outputs.Contains(output)) _faults.Add(value.Place, $"there is no output `{output}`{NearestName.Hint(output, outputs)}");
        publish[target] = output;
    }

    /// <summary>Steps after what they need; a circle is a fault.</summary>
    private ImmutableArray<PipelineStep> InOrder(List<PipelineStep> waiting)
    {
        var ordered = ImmutableArray.CreateBuilder<PipelineStep>(waiting.Count);
        var known = waiting.Select(step => step.Name).ToHashSet();
        var done = new HashSet<string>();
        while (waiting.Find(step => Needs(step).All(done.Contains)) is { } next)
        {
            ordered.Add(next);
            done.Add(next.Name);
            waiting.Remove(next);
        }
        if (waiting.Count > 0)
        {
            // Every step left waits for another one left, so walking back must come round.
            List<string> path = [waiting[0].Name];
            while (path.IndexOf(path[^1]) == path.Count - 1) path.Add(Needs(waiting.Find(step => step.Name == path[^1])!).First(need => !done.Contains(need)));
            var circle = path[path.IndexOf(path[^1])..];
            circle.Reverse();
            _faults.Add(_steps[circle[0]].Place, $"these steps wait for each other: {string.Join(" → ", circle)}");
        }
        return ordered.ToImmutable();

        IEnumerable<string> Needs(PipelineStep step) => step.Inputs.Values.Select(from => from.Step).OfType<string>().Where(known.Contains);
    }

    private void CheckKeys(SpecMap map, string of, string[] known)
    {
        foreach (var (key, place, _) in map.Entries)
        {
            if (!known.Contains(key)) _faults.Add(place, $"a {of} has no `{key}`{NearestName.Hint(key, known)}");
        }
    }

    private void CheckName(string of, string name, Place place)
    {
        if (!PipelineSpec.StepName.IsMatch(name)) _faults.Add(place, $"the {of} name `{Shortened(name)}` has other signs than a-z, 0-9 and -, or does not start with a letter");
    }

    private List<(string Key, Place Place, SpecNode Value)> MapAt(SpecMap map, string key, string of, bool required = true)
    {
        var value = map.Find(key);
        if (value is SpecMap { Entries.Count: > 0 } found) return found.Entries;
        if (value is null && required) _faults.Add(map.Place, $"{of} has no `{key}`");
        else if (value is not null and not SpecMap || value is not null && required) _faults.Add(value.Place, $"`{key}` is a map with at least one entry");
        return [];
    }

    private string? TextAt(SpecMap map, string key, string of, Place? place = null)
    {
        if (map.Find(key) is { } value) return Text(value, $"`{key}`");
        _faults.Add(place ?? map.Place, $"{of} has no `{key}`");
        return null;
    }

    private string? Text(SpecNode value, string of)
    {
        if (value is SpecText { Text: { Length: > 0 } text }) return text;
        _faults.Add(value.Place, $"{of} is a single value; this is {(value is SpecText ? "empty" : value.Kind)}");
        return null;
    }

    private static string Shortened(string text) => text.Length <= 40 ? text : text[..40] + "…";
}
