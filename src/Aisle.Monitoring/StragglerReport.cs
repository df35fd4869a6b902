using System.Globalization;

namespace Aisle.Monitoring;

/// <summary>One worker's mean step, in milliseconds; compute also for each slice, which is what tells a slow machine from one with a bigger share.</summary>
public sealed record WorkerPace(
    string Worker, long Steps, long Slices, double SliceMilliseconds, double PlanMilliseconds, double ComputeMilliseconds, double ExchangeMilliseconds, double ApplyMilliseconds,
    double SaveMilliseconds);

/// <summary>Who took longest in a phase.</summary>
/// <param name="Phase"><c>compute</c> (a slice), <c>plan</c>, <c>exchange</c> (waiting: who waits least is who the others wait for), <c>apply</c> or <c>save</c>.</param>
/// <param name="Milliseconds">The slowest worker's mean: for a slice in <c>compute</c>, for a step elsewhere.</param>
/// <param name="OthersMilliseconds">Median of the others' means; null for a lone worker.</param>
public sealed record SlowestInPhase(string Phase, string Worker, double Milliseconds, double? OthersMilliseconds)
{
    /// <summary>1 where there is nobody to compare with.</summary>
    public double Ratio => OthersMilliseconds is > 0 and var others ? Milliseconds / others : 1;
}

/// <summary>Where a run's steps went, who was slowest in what, and one sentence on what to do.</summary>
/// <param name="Straggler">The worker that the others wait for; null where no one stands out.</param>
/// <param name="HeldUpMilliseconds">How much longer than the others' median share the straggler computes, a step.</param>
public sealed record StragglerReport(
    IReadOnlyList<WorkerPace> Workers, IReadOnlyList<SlowestInPhase> Slowest, double StepMilliseconds, string? Straggler, double HeldUpMilliseconds, string Advice)
{
    /// <summary>Differences below this are noise, not stragglers.</summary>
    private const double WorthTelling = 1.15;
    private const double WorthTellingOfStep = 0.05;

    public static StragglerReport Of(TimeLineSnapshot timeLine)
    {
        // Whoever made only a few steps has just come: its means say little. Whoever is gone needs no advice.
        var most = timeLine.Totals.Select(totals => totals.Steps).DefaultIfEmpty(0).Max();
        var newest = timeLine.Steps.Select(step => step.Step).DefaultIfEmpty(0).Max();
        var present = timeLine.Steps.Where(step => step.Step >= newest - 2).Select(step => step.Worker).ToHashSet(StringComparer.Ordinal);
        var workers = timeLine.Totals.Where(totals => totals.Steps > 0).Select(PaceOf).ToList();
        var settled = workers.Where(worker => worker.Steps >= Math.Max(1, most / 20) && present.Contains(worker.Worker)).ToList();
        if (settled.Count == 0) return new StragglerReport(workers, [], 0, null, 0, "No worker has reported a step yet.");

        List<SlowestInPhase> slowest =
        [
            SlowestIn("compute", settled.Where(worker => worker.Slices > 0), worker => worker.SliceMilliseconds),
            SlowestIn("plan", settled, worker => worker.PlanMilliseconds),
            SlowestIn("exchange", settled, worker => worker.ExchangeMilliseconds),
            SlowestIn("apply", settled, worker => worker.ApplyMilliseconds),
            SlowestIn("save", settled, worker => worker.SaveMilliseconds),
        ];
        slowest.RemoveAll(phase => phase.Milliseconds <= 0);
        var step = Median(settled.Select(worker => worker.PlanMilliseconds + worker.ComputeMilliseconds + worker.ExchangeMilliseconds + worker.ApplyMilliseconds));
        var (straggler, heldUp) = StragglerOf(settled, slowest, step);
        return new StragglerReport(workers, slowest, step, straggler, heldUp, Advise(settled, slowest, step, straggler, heldUp));
    }

    private static WorkerPace PaceOf(WorkerTotals totals)
    {
        double Mean(long micros) => micros / 1000.0 / totals.Steps;
        return new WorkerPace(
            totals.Worker, totals.Steps, totals.Slices, totals.Slices > 0 ? totals.ComputeMicros / 1000.0 / totals.Slices : 0, Mean(totals.PlanMicros), Mean(totals.ComputeMicros),
            Mean(totals.ExchangeMicros), Mean(totals.ApplyMicros), Mean(totals.SaveMicros));
    }

    private static SlowestInPhase SlowestIn(string phase, IEnumerable<WorkerPace> workers, Func<WorkerPace, double> milliseconds)
    {
        var ordered = workers.OrderByDescending(milliseconds).ThenBy(worker => worker.Worker, StringComparer.Ordinal).ToList();
        if (ordered.Count == 0) return new SlowestInPhase(phase, "", 0, null);
        return new SlowestInPhase(phase, ordered[0].Worker, milliseconds(ordered[0]), ordered.Count > 1 ? Median(ordered.Skip(1).Select(milliseconds)) : null);
    }

    private static (string?, double) StragglerOf(List<WorkerPace> settled, List<SlowestInPhase> slowest, double step)
    {
        if (settled.Count < 2 || slowest.Find(phase => phase.Phase == "compute") is not { } compute || compute.Ratio < WorthTelling) return (null, 0);
        var worker = settled.Find(worker => worker.Worker == compute.Worker)!;
        // A slow worker with a share to match holds nobody up.
        var heldUp = worker.ComputeMilliseconds - Median(settled.Where(other => other != worker).Select(other => other.ComputeMilliseconds));
        return heldUp > step * WorthTellingOfStep ? (worker.Worker, heldUp) : (null, 0);
    }

    private static string Advise(List<WorkerPace> settled, List<SlowestInPhase> slowest, double step, string? straggler, double heldUp)
    {
        string Share(double part) => string.Create(CultureInfo.InvariantCulture, $"{part / step:0%}");
        string Ms(double milliseconds) => string.Create(CultureInfo.InvariantCulture, $"{milliseconds:0.0} ms");
        SlowestInPhase? In(string name) => slowest.Find(phase => phase.Phase == name);
        if (straggler is not null)
        {
            var compute = In("compute")!;
            return $"{straggler} needs {Ms(compute.Milliseconds)} a slice where the others need {Ms(compute.OthersMilliseconds!.Value)} and holds each step up by about {Ms(heldUp)} ({Share(heldUp)}): "
                + "see what else runs on its node (`aisle nodes`), or end the worker's process and let another take its place; no step is lost by it.";
        }
        var exchange = settled.Min(worker => worker.ExchangeMilliseconds);
        var plan = settled.Min(worker => worker.PlanMilliseconds);
        if (settled.Count > 1 && exchange > step * 0.15)
            return $"Even the worker that waits least spends {Share(exchange)} of a step on the exchange: give each step more work (more or longer sequences in a slice), use fewer workers, or a faster network between them.";
        if (plan > step * 0.15)
            return $"{Share(plan)} of a step goes by before the first slice, which is mostly the coordinator's round trip: give each step more work (more slices, or more sequences in a slice).";
        if (In("apply") is { } apply && apply.Ratio >= WorthTelling && apply.Milliseconds - apply.OthersMilliseconds > step * 0.05)
            return $"{apply.Worker} updates its weights in {Ms(apply.Milliseconds)}, the others in {Ms(apply.OthersMilliseconds!.Value)}: its memory is slower or shared; see what else runs on its node.";
        return settled.Count == 1
            ? $"One worker computes for {Share(settled[0].ComputeMilliseconds)} of its time: another would help."
            : $"No worker stands out; they compute for {Share(Median(settled.Select(worker => worker.ComputeMilliseconds)))} of a step. Nothing to do.";
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length == 0 ? 0 : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
