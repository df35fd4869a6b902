using System.Collections.Immutable;

namespace Aisle.Pipelines;

/// <summary>One thing wrong with a spec.</summary>
/// <param name="Line">From 1; 0 when it came with <c>--set</c>.</param>
/// <param name="Column">From 1; 0 when it came with <c>--set</c>.</param>
/// <param name="Override">The <c>--set</c> argument at fault, or null.</param>
public sealed record SpecFault(long Line, long Column, string? Override, string Message)
{
    public override string ToString() => $"{new Place(Line, Column, Override)}: {Message}";
}

/// <summary>A spec that cannot run, with every fault at once.</summary>
public sealed class SpecException(ImmutableArray<SpecFault> faults) : AisleException(
    code: "AISLE-4001",
    what: $"The spec has {(faults.Length == 1 ? "a fault" : $"{faults.Length} faults")}:\n{string.Join('\n', faults.Select(fault => $"  {fault}"))}\n",
    next: "Correct the spec and run it again.")
{
    public ImmutableArray<SpecFault> Faults { get; } = faults;
}

/// <summary>Gathers faults while a spec is read, so that all are told at once. The first hundred are enough.</summary>
internal sealed class SpecFaults
{
    private const int Most = 100;
    private readonly List<SpecFault> _faults = [];

    public void Add(Place place, string message)
    {
        if (_faults.Count < Most) _faults.Add(new SpecFault(place.Line, place.Column, place.Override, message));
    }

    public bool Any => _faults.Count > 0;

    public SpecException ToException() => new([.. _faults.OrderBy(fault => fault.Line).ThenBy(fault => fault.Column)]);
}
