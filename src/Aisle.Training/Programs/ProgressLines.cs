using System.Globalization;

namespace Aisle.Training.Programs;

/// <summary>
/// A run as lines for a person: on a terminal one line that is rewritten, elsewhere a line every few seconds, and a line for each thing worth knowing.
/// Thread-safe.
/// </summary>
public sealed class ProgressLines(TextWriter output, bool isTerminal, Func<long?> steps, TimeProvider time)
{
    private static readonly TimeSpan s_rewriteEvery = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_lineEvery = TimeSpan.FromSeconds(5);
    private readonly Lock _gate = new(); // guards what follows, and the output
    private string _shown = "";
    private long? _shownAt;
    private (TimeSpan At, long Step)? _first;

    /// <summary>Takes each event of the run, in order.</summary>
    public void Show(TrainingEvent happened)
    {
        switch (happened)
        {
            case StepCommitted step:
                Step(step);
                break;
            case WorkerJoined joined:
                Say($"{joined.Name} joined");
                break;
            case WorkerLost lost:
                Say($"{lost.Name} is gone: {lost.Reason}");
                break;
            case WorkerRefused refused:
                Say($"{refused.Name} was refused: {refused.Reason}");
                break;
            case StepRecovered recovered:
                Say(string.Create(CultureInfo.InvariantCulture, $"step {recovered.Step} was made {recovered.Took.TotalSeconds:F2} s after the loss; {recovered.SlicesRecomputed} slices were computed again"));
                break;
            case CheckpointSkipped skipped:
                Say($"no checkpoint of step {skipped.Step}: {skipped.Reason}");
                break;
            case RolledBack back:
                Say($"every worker with the state was gone: back from step {back.From} to {back.To}, to the same bits");
                break;
        }
    }

    /// <summary>A line that stays.</summary>
    public void Say(string line) => Say(line, output);

    /// <summary>A line that stays, for another output that may be the same terminal.</summary>
    public void Say(string line, TextWriter to)
    {
        lock (_gate)
        {
            Clear();
            if (to != output) output.Flush();
            to.WriteLine(line);
            to.Flush();
            if (isTerminal) output.Write(_shown);
            output.Flush();
        }
    }

    /// <summary>Leaves the last state of the rewritten line standing.</summary>
    public void End()
    {
        lock (_gate)
        {
            if (isTerminal && _shown.Length > 0) output.WriteLine();
            _shown = "";
        }
    }

    private void Step(StepCommitted step)
    {
        lock (_gate)
        {
            _first ??= (step.At, step.Step);
            var isLast = step.Step == steps();
            if (!isLast && !step.Skipped && _shownAt is { } at && time.GetElapsedTime(at) < (isTerminal ? s_rewriteEvery : s_lineEvery)) return;
            _shownAt = time.GetTimestamp();
            Clear();
            _shown = Line(step);
            if (isTerminal) output.Write(_shown);
            else output.WriteLine(_shown);
            output.Flush();
        }
    }

    private string Line(StepCommitted step)
    {
        var total = steps();
        var loss = double.IsNaN(step.LossPerToken) ? "" : string.Create(CultureInfo.InvariantCulture, $"  loss {step.LossPerToken:F4}");
        var left = total is { } last && _first is { } first && step.Step > first.Step && step.Step < last
            ? $"  {(step.At - first.At) / (step.Step - first.Step) * (last - step.Step):hh\\:mm\\:ss} left"
            : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"step {step.Step}{(total is null ? "" : $"/{total}")}{loss}  {step.TokensPerSecond:N0}/s  {step.Workers} worker{(step.Workers == 1 ? "" : "s")}{left}{(step.Skipped ? "  skipped: a gradient did not fit" : "")}");
    }

    private void Clear()
    {
        if (isTerminal && _shown.Length > 0) output.Write("\r\x1b[K");
    }
}
