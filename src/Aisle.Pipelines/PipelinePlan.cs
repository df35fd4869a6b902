using System.Collections.Immutable;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;

namespace Aisle.Pipelines;

/// <summary>A spec with its inputs pinned to content: which steps can run as what jobs, given what is finished. A pure function; keep no state beside it.</summary>
public sealed class PipelinePlan
{
    /// <summary>Grows when a pipeline of the same spec would run other jobs.</summary>
    private const string Program = "pipeline@1";

    private readonly ImmutableSortedDictionary<string, Digest> _inputs;
    private readonly string _numericClass;

    /// <param name="inputs">Input of the spec → artifact, for all its inputs.</param>
    /// <param name="numericClass">Class that the floating-point steps run in.</param>
    /// <exception cref="AisleException">AISLE-4002: inputs are missing.</exception>
    public PipelinePlan(PipelineSpec spec, IReadOnlyDictionary<string, Digest> inputs, string numericClass)
    {
        var missing = spec.Inputs.Keys.Where(name => !inputs.ContainsKey(name)).ToList();
        if (missing.Count > 0)
        {
            throw new AisleException("AISLE-4002", $"Pipeline {spec.Name} was not given its input {string.Join(", ", missing.Select(name => $"{name} ({spec.Inputs[name]})"))}.",
                "Put the data under that name first: `aisle put NAME PATH`.");
        }
        Spec = spec;
        _inputs = spec.Inputs.Keys.ToImmutableSortedDictionary(name => name, name => inputs[name], StringComparer.Ordinal);
        _numericClass = numericClass;
    }

    public PipelineSpec Spec { get; }

    /// <summary>The run itself as a job. Its identity is content only: another name, place of the inputs, number of workers or name to publish is the same run.</summary>
    public JobSpec Job => new()
    {
        Kind = JobKind.Pipeline,
        Program = Program,
        Parameters = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal).Add("spec", Spec.ToIdentityText()),
        Inputs = _inputs,
        Outputs = [.. Spec.Outputs.Keys],
        NumericClass = Spec.Steps.Any(step => step.Program.NeedsNumericClass) ? _numericClass : null,
    };

    /// <summary>Where the run stands.</summary>
    /// <param name="finished">Step → port → artifact, for each step that has succeeded.</param>
    public PipelineProgress Advance(IReadOnlyDictionary<string, ImmutableSortedDictionary<string, Digest>> finished)
    {
        var ready = ImmutableArray.CreateBuilder<ReadyStep>();
        var waiting = ImmutableArray.CreateBuilder<WaitingStep>();
        var outputs = finished.ToDictionary(step => step.Key, step => step.Value, StringComparer.Ordinal);
        var stepOf = new Dictionary<Digest, string>();
        foreach (var step in Spec.Steps.Where(step => finished.ContainsKey(step.Name) && NeedsOf(step, outputs).IsEmpty)) stepOf.TryAdd(JobOf(step, outputs).Identity, step.Name);
        foreach (var step in Spec.Steps.Where(step => !finished.ContainsKey(step.Name)))
        {
            if (NeedsOf(step, outputs) is { IsEmpty: false } needs)
            {
                waiting.Add(new WaitingStep(step.Name, needs));
                continue;
            }
            // Two steps that are given the same are one job, and have one result.
            var job = JobOf(step, outputs);
            if (stepOf.TryAdd(job.Identity, step.Name)) ready.Add(new ReadyStep(step.Name, job, step.Workers));
            else if (outputs.TryGetValue(stepOf[job.Identity], out var known)) outputs[step.Name] = known;
            else waiting.Add(new WaitingStep(step.Name, [stepOf[job.Identity]]));
        }
        var done = ready.Count == 0 && waiting.Count == 0;
        return new PipelineProgress(ready.ToImmutable(), waiting.ToImmutable(), done
            ? Spec.Outputs.ToImmutableSortedDictionary(output => output.Key, output => Resolve(output.Value, outputs), StringComparer.Ordinal)
            : null);
    }

    private static ImmutableArray<string> NeedsOf(PipelineStep step, Dictionary<string, ImmutableSortedDictionary<string, Digest>> finished) =>
        [.. step.Inputs.Values.Select(from => from.Step).OfType<string>().Where(name => !finished.ContainsKey(name)).Distinct()];

    private JobSpec JobOf(PipelineStep step, IReadOnlyDictionary<string, ImmutableSortedDictionary<string, Digest>> finished) => new()
    {
        Kind = step.Program.Kind,
        Program = step.Program.Id,
        Parameters = step.Parameters.Remove(PipelineStep.Seed),  // it stands beside the parameters in a job
        Inputs = step.Inputs.ToImmutableSortedDictionary(input => input.Key, input => Resolve(input.Value, finished), StringComparer.Ordinal),
        Outputs = step.Program.Outputs.Sort(StringComparer.Ordinal),
        Seed = step.Parameters.TryGetValue(PipelineStep.Seed, out var seed) ? ulong.Parse(seed) : 0,
        NumericClass = step.Program.NeedsNumericClass ? _numericClass : null,
    };

    private Digest Resolve(PortReference from, IReadOnlyDictionary<string, ImmutableSortedDictionary<string, Digest>> finished)
    {
        if (from.Step is null) return _inputs[from.Port];
        return finished[from.Step].TryGetValue(from.Port, out var digest)
            ? digest
            : throw new AisleException("AISLE-4003", $"Step {from.Step} finished without its output {from.Port}.", "Run the step again, or report this with its log.");
    }
}

/// <summary>Where a run stands. Nothing ready and nothing waiting means done.</summary>
/// <param name="Ready">Steps whose inputs are all there, running ones included: want them again as often as you like, a job of one identity runs once.</param>
/// <param name="Outputs">Output → artifact once every step is finished, null before.</param>
public sealed record PipelineProgress(ImmutableArray<ReadyStep> Ready, ImmutableArray<WaitingStep> Waiting, ImmutableSortedDictionary<string, Digest>? Outputs)
{
    public bool IsDone => Outputs is not null;
}

public sealed record ReadyStep(string Name, JobSpec Job, int Workers);

/// <param name="Needs">Steps that are not finished yet.</param>
public sealed record WaitingStep(string Name, ImmutableArray<string> Needs);
