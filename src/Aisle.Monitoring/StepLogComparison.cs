namespace Aisle.Monitoring;

/// <summary>Where two runs part, by the hashes of their weights.</summary>
/// <param name="LastSame">The newest step up to which every step that both tell is the same; null where already the first differs.</param>
/// <param name="FirstDifferent">The first step that both tell and that differs; null where none does.</param>
/// <param name="Compared">Steps that both tell.</param>
public sealed record StepLogComparison(long? LastSame, long? FirstDifferent, int Compared)
{
    /// <exception cref="AisleException">AISLE-5182: no step is in both.</exception>
    public static StepLogComparison Of(StepLog first, StepLog second)
    {
        long? same = null, different = null;
        var compared = 0;
        foreach (var step in first.Steps)
        {
            if (second.At(step.Step) is not { } other) continue;
            compared++;
            if (different is not null) continue;
            if (step.WeightsHash == other.WeightsHash) same = step.Step;
            else different = step.Step;
        }
        if (compared > 0) return new StepLogComparison(same, different, compared);
        throw new AisleException(
            "AISLE-5182", $"The two runs tell no step in common ({Range(first)} against {Range(second)}).", "Compare two runs that made the same steps, from the same checkpoint or from the start.");
    }

    private static string Range(StepLog log) => log.Steps.Count == 0 ? "no steps" : $"steps {log.Steps[0].Step} to {log.Steps[^1].Step}";
}
