using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Aisle.Training.Tests.Processes;

/// <summary>One run whose coordinator, too, is a process that a test can kill and start again at the same port.</summary>
internal sealed class SeparateCoordinatorRun(string[] parameters) : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-training-").FullName;
    private readonly List<Process> _processes = [];
    private readonly ConcurrentDictionary<long, TaskCompletionSource> _reached = new();
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Process? _coordinator;
    private string _endPoint = "127.0.0.1:0";

    /// <summary>The steps that each coordinator told of.</summary>
    public List<List<long>> Steps { get; } = [];

    public ConcurrentQueue<TimeSpan> ReunitedAfter { get; } = new();

    public async Task StartCoordinatorAsync(int minimumWorkers)
    {
        var steps = new List<long>();
        Steps.Add(steps);
        var listens = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _coordinator = Start(["coordinator", _endPoint, minimumWorkers.ToString(CultureInfo.InvariantCulture), Convert.ToHexString(ProcessRun.Secret)]);
        _coordinator.OutputDataReceived += (_, line) =>
        {
            if (line.Data?.Split(' ') is not [var kind, var value]) return;
            switch (kind)
            {
                case "listens":
                    listens.TrySetResult(value);
                    break;
                case "step":
                    var step = long.Parse(value, CultureInfo.InvariantCulture);
                    steps.Add(step);
                    Waiter(step).TrySetResult();
                    break;
                case "reunited":
                    ReunitedAfter.Enqueue(TimeSpan.FromMilliseconds(double.Parse(value, CultureInfo.InvariantCulture)));
                    break;
                case "ended":
                    _ended.TrySetResult(value);
                    break;
            }
        };
        _coordinator.BeginOutputReadLine();
        _endPoint = await listens.Task.WaitAsync(TimeSpan.FromSeconds(20));
    }

    public void KillCoordinator()
    {
        _coordinator!.Kill();
        _coordinator.WaitForExit(); // with all it had said
    }

    public void StartWorker(string name) => Start(WorkerArguments(name));

    /// <summary>One that is to end with an error.</summary>
    /// <param name="fault">Bits that flip in its memory, as the worker's program reads it.</param>
    /// <returns>All that it says.</returns>
    public async Task<string> FailingWorkerAsync(string name, string fault = "")
    {
        var worker = Start(WorkerArguments(name), fault);
        var said = await worker.StandardError.ReadToEndAsync();
        await worker.WaitForExitAsync();
        return said;
    }

    public Task Reached(long step) => Waiter(step).Task.WaitAsync(TimeSpan.FromSeconds(60));

    /// <returns>The weights' hash at the end.</returns>
    public Task<string> EndAsync() => _ended.Task.WaitAsync(TimeSpan.FromSeconds(60));

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes)
        {
            if (!process.HasExited) process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }
        Directory.Delete(_folder, recursive: true);
    }

    private TaskCompletionSource Waiter(long step) => _reached.GetOrAdd(step, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));

    private string[] WorkerArguments(string name) => [name, _endPoint, Convert.ToHexString(ProcessRun.Secret), _folder, .. parameters];

    private Process Start(string[] arguments, string? fault = null)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Aisle.Training.Tests.Worker"), arguments) { RedirectStandardOutput = true, RedirectStandardError = fault is not null };
        if (fault is not null) start.Environment["TEST_FAULT"] = fault;
        var process = Process.Start(start)!;
        _processes.Add(process);
        return process;
    }
}
