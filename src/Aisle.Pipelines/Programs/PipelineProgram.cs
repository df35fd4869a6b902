using System.Collections.Immutable;
using Aisle.Ledger;

namespace Aisle.Pipelines;

/// <summary>What a step can use: a program's name, version, ports and parameters. What it does lives elsewhere.</summary>
/// <param name="Version">Grows when the same inputs would give other bytes, so that old results are not taken for new ones.</param>
/// <param name="Inputs">Ports in the order people think of them; each is a folder.</param>
/// <param name="Outputs">The first is what a step's bare name means.</param>
public sealed record PipelineProgram(
    string Name, int Version, JobKind Kind, string Summary, ImmutableArray<string> Inputs, ImmutableArray<string> Outputs,
    ImmutableArray<ProgramParameter> Parameters)
{
    /// <summary>Those of the inputs that a step may leave out.</summary>
    public ImmutableArray<string> Optional { get; init; } = [];

    /// <summary>Whether the result depends on how this kind of processor and library rounds.</summary>
    public bool NeedsNumericClass { get; init; }

    /// <summary>As a job spec names it: <c>tokenize@1</c>.</summary>
    public string Id => $"{Name}@{Version}";
}
