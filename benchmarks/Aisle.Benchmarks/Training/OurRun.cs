using System.Diagnostics;
using System.Security.Cryptography;
using System.Threading.Channels;
using Aisle.Training;

namespace Aisle.Benchmarks.Training;

/// <summary>Ours: the coordinator in this process, each worker in one of its own.</summary>
internal sealed class OurRun : ITrainingRun
{
    private static readonly TimeSpan s_longestStep = TimeSpan.FromMinutes(3);
    private readonly TrainingSetting _setting;
    private readonly Coordinator _coordinator;
    private readonly string _secret = RandomNumberGenerator.GetHexString(64);
    private readonly Channel<StepReport> _steps = Channel.CreateUnbounded<StepReport>(); // bounded by the run's steps
    private readonly ChildProcess[] _workers;
    private readonly List<ChildProcess> _dead = [];
    private int _started;
    private int _losses;

    /// <param name="audit">The part of all slices that a second worker computes too.</param>
    public OurRun(TrainingSetting setting, int workers, double audit = 1.0 / 64)
    {
        _setting = setting;
        _coordinator = Coordinator.Start(new CoordinatorOptions
        {
            Recipe = setting.Recipe,
            ParameterCount = setting.ParameterCount,
            Secret = Convert.FromHexString(_secret),
            MinimumWorkers = workers,
            AuditFraction = audit,
            Event = Happened,
        });
        _workers = [.. Enumerable.Range(0, workers).Select(_ => StartWorker())];
    }

    public async Task<StepReport> NextAsync()
    {
        using var patience = new CancellationTokenSource(s_longestStep);
        try
        {
            return await _steps.Reader.ReadAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            throw new BenchmarkFailedException($"No step in {s_longestStep.TotalMinutes} minutes. The workers say: {string.Concat(_workers.Select(worker => worker.Errors))}");
        }
    }

    /// <summary>Of all workers since their start, user and kernel.</summary>
    public TimeSpan ProcessorTime => _workers.Aggregate(TimeSpan.Zero, (sum, worker) => sum + worker.ProcessorTime);

    public void Kill(int worker) => _workers[worker].Kill();

    public void Restore()
    {
        for (var i = 0; i < _workers.Length; i++)
        {
            if (!_workers[i].HasEnded) continue;
            _dead.Add(_workers[i]);
            _workers[i] = StartWorker();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _coordinator.DisposeAsync();
        foreach (var worker in _workers.Concat(_dead)) worker.Dispose();
    }

    private ChildProcess StartWorker() =>
        ChildProcess.Ours([TrainingWorker.Role, $"w{_started++}", _coordinator.EndPoint.ToString(), _secret, _setting.Folder, .. _setting.Parameters]);

    private void Happened(TrainingEvent happened)
    {
        if (happened is WorkerLost lost)
        {
            _losses++;
            Console.Error.WriteLine($"ours: {lost.Name} is lost: {lost.Reason}");
        }
        else if (happened is StepCommitted step) _steps.Writer.TryWrite(new StepReport(step.Step, step.LossPerToken, step.Workers, _losses, Stopwatch.GetTimestamp()));
    }
}
