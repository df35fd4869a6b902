using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;
using Aisle.Training;
using TrainingCheckpoint = Aisle.Ledger.Checkpoint;

namespace Aisle.Head;

/// <summary>One training job's coordinator, its events turned into the contract's. Soft: when this process is lost, the next one starts another in the same place, and the workers bring it the state.</summary>
internal sealed class TrainingRun : IAsyncDisposable
{
    private readonly Job _job;
    private readonly JobEvents _events;
    private readonly ConcurrentQueue<(TrainingCheckpoint Checkpoint, bool IsWithdrawn)> _checkpoints = new();
    private readonly ConcurrentQueue<string> _quarantined = new();
    private readonly Coordinator _coordinator;
    private readonly Action _wake;
    private readonly RunRecorder _recorder;
    private TimeSpan _lastStepAt;

    private TrainingRun(Job job, CoordinatorOptions options, CoordinatorSeat seat, JobEvents events, string recordFolder, Action wake)
    {
        _job = job;
        _events = events;
        _wake = wake;
        Secret = seat.Secret;
        void Log(string text) => events.Add(job, Event("log") with { Message = text });
        _recorder = new RunRecorder(recordFolder, options.Time.GetUtcNow(), odd: Log);
        try
        {
            _coordinator = StartAt(seat.Port, options with { Event = Tell, Log = Log });
            (seat with { Port = _coordinator.EndPoint.Port }).Keep(recordFolder);
        }
        catch
        {
            _coordinator?.DisposeAsync().AsTask().Wait();
            _recorder.Dispose();
            throw;
        }
        Outcome = WaitAsync();
    }

    /// <summary>Where workers connect, as <c>host:port</c>.</summary>
    public string Address => _coordinator.EndPoint.ToString();

    /// <summary>Known to this run's workers and nobody else.</summary>
    public string Secret { get; }

    public Task<TrainingOutcome> Outcome { get; }

    /// <summary>What has been kept of its steps; read it from any thread.</summary>
    public RunRecorder Record => _recorder;

    /// <param name="recipe">With <paramref name="parameterCount"/>: what the run is; null where only the workers' own program knows.</param>
    /// <param name="from">Checkpoint to start from; null for the beginning.</param>
    /// <param name="stopAt">Step to end at, with that state as a checkpoint; null for the recipe's end.</param>
    /// <param name="audit">The part of all slices that a second worker computes too; null for the usual one.</param>
    /// <param name="recordFolder">Where steps are recorded; a run that was cut off goes on there.</param>
    public static TrainingRun Start(
        Job job, TrainingRecipe? recipe, int? parameterCount, TrainingCheckpoint? from, long? stopAt, double? audit, JobEvents events, string recordFolder, TimeProvider time, Action wake)
    {
        var seat = CoordinatorSeat.Of(recordFolder);
        var options = new CoordinatorOptions
        {
            Recipe = recipe,
            ParameterCount = parameterCount,
            Secret = Convert.FromHexString(seat.Secret),
            ResumeFrom = from is null ? null : (from.Step, from.Digest),
            StopAtStep = stopAt,
            Time = time,
        };
        return new TrainingRun(job, audit is { } fraction ? options with { AuditFraction = fraction } : options, seat, events, recordFolder, wake);
    }

    private static Coordinator StartAt(int port, CoordinatorOptions options)
    {
        try
        {
            return Coordinator.Start(options with { Listen = new IPEndPoint(IPAddress.Loopback, port) });
        }
        catch (SocketException) when (port != 0)
        {
            // Somebody took it meanwhile. The workers that look there end after a while, and are placed anew.
            return Coordinator.Start(options);
        }
    }

    /// <summary>Workers that were shut out since the last call because they compute wrongly.</summary>
    public IEnumerable<string> TakeQuarantined()
    {
        while (_quarantined.TryDequeue(out var worker)) yield return worker;
    }

    /// <summary>Checkpoints stored and withdrawn since the last call, in the order it happened.</summary>
    public IEnumerable<(TrainingCheckpoint Checkpoint, bool IsWithdrawn)> TakeCheckpoints()
    {
        while (_checkpoints.TryDequeue(out var checkpoint)) yield return checkpoint;
    }

    public async ValueTask DisposeAsync()
    {
        await _coordinator.DisposeAsync();
        await ((Task)Outcome).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _recorder.Dispose();
    }

    private async Task<TrainingOutcome> WaitAsync()
    {
        try
        {
            return await _coordinator.Completion;
        }
        finally
        {
            _wake();
        }
    }

    private void Tell(TrainingEvent told)
    {
        _recorder.Add(told);
        switch (told)
        {
            case StepCommitted step:
                _events.Add(_job, Event("step") with
                {
                    Step = step.Step,
                    Steps = _coordinator.Run?.Steps,
                    Loss = step.LossPerToken,
                    TokensPerSecond = step.TokensPerSecond,
                    Workers = step.Workers,
                    LearningRate = double.IsNaN(step.LearningRate) ? null : step.LearningRate,
                    GradientNorm = double.IsNaN(step.GradientNorm) ? null : step.GradientNorm,
                    Seconds = (step.At - _lastStepAt).TotalSeconds,
                    WeightsHash = step.WeightsHash.ToString("x16", CultureInfo.InvariantCulture),
                    Message = step.Skipped ? "skipped: a gradient did not fit" : null,
                });
                _lastStepAt = step.At;
                break;
            case WorkerJoined joined:
                _events.Add(_job, Event("workerJoined") with { Worker = joined.Name });
                break;
            case WorkerLost lost:
                _events.Add(_job, Event("workerLeft") with { Worker = lost.Name, Message = lost.Reason });
                break;
            case WorkerRefused refused:
                _events.Add(_job, Event("log") with { Worker = refused.Name, Message = $"{refused.Name} was refused: {refused.Reason}" });
                break;
            case StepRecovered recovered:
                _events.Add(_job, Event("recovered") with { Step = recovered.Step, Seconds = recovered.Took.TotalSeconds, SlicesRecomputed = recovered.SlicesRecomputed });
                break;
            case CheckpointSaved saved:
                _checkpoints.Enqueue((new TrainingCheckpoint(saved.Step, saved.Digest), IsWithdrawn: false));
                _events.Add(_job, Event("checkpoint") with { Step = saved.Step, Digest = saved.Digest });
                _wake();
                break;
            case CheckpointWithdrawn withdrawn:
                _checkpoints.Enqueue((new TrainingCheckpoint(withdrawn.Step, withdrawn.Digest), IsWithdrawn: true));
                _events.Add(_job, Event("log") with { Step = withdrawn.Step, Message = $"the checkpoint of step {withdrawn.Step} is withdrawn: a worker that computes wrongly had a part in it" });
                _wake();
                break;
            case WorkerQuarantined quarantined:
                _quarantined.Enqueue(quarantined.Name);
                _events.Add(_job, Event("workerQuarantined") with { Worker = quarantined.Name, Step = quarantined.Step, Message = $"shut out, it computes wrongly: {quarantined.Why}" });
                _wake();
                break;
            case CheckpointSkipped skipped:
                _events.Add(_job, Event("log") with { Message = $"no checkpoint of step {skipped.Step}: {skipped.Reason}" });
                break;
            case RolledBack back:
                _events.Add(_job, Event("log") with { Message = $"back from step {back.From} to step {back.To}, and to the same bits again" });
                break;
        }
    }

    private JobEvent Event(string kind) => new() { Event = kind, Job = _job.Id.ToString() };
}
