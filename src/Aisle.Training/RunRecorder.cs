using System.Globalization;
using Aisle.Monitoring;
using Aisle.Monitoring.TensorBoard;

namespace Aisle.Training;

/// <summary>
/// Keeps what a run tells, in a folder: <c>steps.log</c> as it goes, <c>timeline.json</c> now and then and at the end, and when asked a TensorBoard event
/// file in <c>tensorboard/</c>. A run that goes on later goes on in the same log. Safe to call from many threads.
/// </summary>
public sealed class RunRecorder : IDisposable
{
    private const long StepsDrawnOneByOne = 10_000;
    private static readonly TimeSpan s_timeLineEvery = TimeSpan.FromSeconds(30);
    private readonly string _folder;
    private readonly DateTimeOffset _startedAt;
    private readonly Action<string>? _odd;
    private readonly TimeLine _timeLine;
    private readonly Lock _gate = new(); // guards what follows
    private readonly StepLogFile _steps;
    private readonly EventFile? _events;
    private TimeSpan _drawnAt;
    private TimeSpan _lastStepAt;
    private TimeSpan _timeLineAt;
    private bool _closed;

    /// <param name="folder">Made when absent.</param>
    /// <param name="startedAt">When the coordinator started: its events count from there.</param>
    /// <param name="odd">One line when a step that was made again came out differently.</param>
    /// <exception cref="AisleException">AISLE-5181: the folder's step log is none. AISLE-5180: no event file can be made.</exception>
    public RunRecorder(string folder, DateTimeOffset startedAt, bool tensorBoard = false, Action<string>? odd = null)
    {
        (_folder, _startedAt, _odd) = (folder, startedAt, odd);
        Directory.CreateDirectory(folder);
        _timeLine = new TimeLine(startedAt);
        _steps = StepLogFile.Open(Path.Combine(folder, StepLogFile.Name));
        try
        {
            if (tensorBoard) _events = EventFile.Create(Path.Combine(folder, "tensorboard"), startedAt);
        }
        catch
        {
            _steps.Dispose();
            throw;
        }
    }

    /// <summary>A recipe as a table under TEXT; nothing without TensorBoard.</summary>
    public void Describe(TrainingRecipe recipe)
    {
        var rows = recipe.ToParameters().Append(new KeyValuePair<string, string>("seed", recipe.Seed.ToString(CultureInfo.InvariantCulture))).Select(row => $"| {row.Key} | {row.Value} |");
        lock (_gate)
        {
            if (!_closed) _events?.Text(_startedAt, 0, "recipe", $"| parameter | value |\n|---|---|\n{string.Join('\n', rows)}");
        }
    }

    /// <summary>Takes each event of the run, in order. Microseconds, but for a time line written after a checkpoint. A full disk ends the record, not the run.</summary>
    public void Add(TrainingEvent happened)
    {
        lock (_gate)
        {
            if (_closed) return;
            try
            {
                Take(happened);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                _closed = true;
                _steps.Dispose();
                _events?.Dispose();
                _odd?.Invoke($"Steps are no longer recorded in {_folder}: {e.Message}");
            }
        }
    }

    public TimeLineSnapshot TimeLine() => _timeLine.Snapshot();

    /// <summary>The step log so far, as a file's content.</summary>
    public byte[] Steps()
    {
        lock (_gate) return StepLogFile.ToBytes(_steps.Log);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_closed) return;
            _closed = true;
            _steps.Dispose();
            _events?.Dispose();
            if (_timeLine.Snapshot() is { Steps.Count: > 0 } or { Moments.Count: > 0 }) SaveTimeLine(_folder);
        }
    }

    private void Take(TrainingEvent happened)
    {
        switch (happened)
        {
            case StepCommitted step:
                Step(step);
                break;
            case WorkerStepped stepped:
                _timeLine.Add(stepped.At, stepped.Name, stepped.Step, stepped.Times);
                break;
            case CheckpointSaved saved:
                Mark(happened, $"checkpoint of step {saved.Step}");
                if (saved.At - _timeLineAt < s_timeLineEvery) break;
                _timeLineAt = saved.At;
                SaveTimeLine(_folder);
                break;
            case CheckpointSkipped skipped:
                Mark(happened, $"no checkpoint of step {skipped.Step}: {skipped.Reason}");
                break;
            case ModelSaved saved:
                Mark(happened, $"model of step {saved.Step}");
                break;
            case WorkerJoined joined:
                Mark(happened, "joined", joined.Name);
                break;
            case WorkerLost lost:
                Mark(happened, $"lost: {lost.Reason}", lost.Name);
                break;
            case WorkerRefused refused:
                Mark(happened, $"refused {refused.Name}: {refused.Reason}");
                break;
            case StepRecovered recovered:
                Mark(happened, string.Create(CultureInfo.InvariantCulture, $"recovered in {recovered.Took.TotalSeconds:0.00} s, {recovered.SlicesRecomputed} slices computed again"));
                break;
            case RolledBack back:
                Mark(happened, $"back from step {back.From} to {back.To}");
                break;
        }
    }

    private void Step(StepCommitted step)
    {
        var figures = new StepFigures(
            step.Step, _startedAt + step.At, step.WeightsHash, step.LossPerToken, step.LearningRate, step.GradientNorm, step.TokensPerSecond, step.Workers, step.Skipped);
        if (_steps.Add(figures) is StepAdded.Contradicts)
        {
            var before = _steps.Log.At(step.Step)!.Value.WeightsHash;
            Mark(step, $"step {step.Step} came out differently when it was made again");
            _odd?.Invoke($"Step {step.Step} was made again and gave weights {step.WeightsHash:x16}, not {before:x16} as before: one of the two was computed wrongly. `aisle verify` the result.");
        }
        var took = step.At - _lastStepAt;
        _lastStepAt = step.At;
        // A long run's picture needs no more than a point a second.
        if (_events is null || (step.Step > StepsDrawnOneByOne && step.At - _drawnAt < TimeSpan.FromSeconds(1))) return;
        _drawnAt = step.At;
        _events.Scalars(figures.At, step.Step, Scalars(figures, took.TotalSeconds));
    }

    /// <summary>A step's figures as TensorBoard shows them.</summary>
    public static IEnumerable<(string Tag, double Value)> Scalars(StepFigures step, double seconds) =>
    [
        ("train/loss", step.Loss),
        ("train/learning_rate", step.LearningRate),
        ("train/gradient_norm", step.GradientNorm),
        ("speed/tokens_per_second", step.TokensPerSecond),
        ("speed/step_seconds", seconds),
        ("speed/workers", step.Workers),
    ];

    private void Mark(TrainingEvent happened, string what, string? worker = null) => _timeLine.Mark(happened.At, what, worker);

    private void SaveTimeLine(string folder)
    {
        var path = Path.Combine(folder, TimeLineSnapshot.Name);
        File.WriteAllBytes(path + ".part", _timeLine.Snapshot().ToJson());
        File.Move(path + ".part", path, overwrite: true);
    }
}
