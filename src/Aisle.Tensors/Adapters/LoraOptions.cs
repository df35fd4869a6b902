using System.Collections.Immutable;

namespace Aisle.Tensors;

/// <summary>Which small matrices are learnt beside a frozen model's: to each target W is added s · B · A, with A [rank, inputs] and B [outputs, rank].</summary>
/// <remarks>Source: Hu et al. 2021, "LoRA: low-rank adaptation of large language models", section 4.1.</remarks>
public sealed record LoraOptions
{
    /// <summary>1 to 1024; at most the smaller side of the smallest target.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>s = alpha / rank.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>The last part of the targets' names, e.g. <c>q_proj</c>; empty for every matrix of attention.</summary>
    public ImmutableArray<string> Targets { get; init; } = [];

    public bool Equals(LoraOptions? other) => other is not null && Rank == other.Rank && Alpha.Equals(other.Alpha) && Targets.SequenceEqual(other.Targets);

    public override int GetHashCode() => HashCode.Combine(Rank, Alpha, Targets.Length);
}
