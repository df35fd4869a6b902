using System.Collections.Immutable;
using Aisle.Ledger;

namespace Aisle.Pipelines;

/// <summary>One run of a transform: folders in, folders out. The output's bytes are a function of program, parameters, seed and the input folders' content.</summary>
public sealed record TransformCall
{
    /// <summary>As in a job spec: <c>clean-text@1</c>.</summary>
    public required string Program { get; init; }

    /// <summary>Canonical values; those left out have the catalogue's defaults.</summary>
    public ImmutableSortedDictionary<string, string> Parameters { get; init; } = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);

    /// <summary>Port → folder to read. Never written to.</summary>
    public required IReadOnlyDictionary<string, string> Inputs { get; init; }

    /// <summary>Port → folder to fill; made when absent, expected empty.</summary>
    public required IReadOnlyDictionary<string, string> Outputs { get; init; }

    public ulong Seed { get; init; }

    /// <summary>Told now and then, from the thread that works.</summary>
    public IProgress<TransformProgress>? Progress { get; init; }
}

/// <param name="Records">Records read so far.</param>
/// <param name="TotalBytes">Size of all input to read.</param>
public readonly record struct TransformProgress(long Records, long DoneBytes, long TotalBytes);

/// <param name="Counts">Add up: a transform that loses a record in silence fails instead.</param>
/// <param name="Summary">Figures for people: why records were left out, how many tokens, …</param>
public sealed record TransformResult(RecordCounts Counts, ImmutableSortedDictionary<string, long> Summary);
