using System.Collections.Concurrent;
using System.Diagnostics;
using Aisle.Artifacts;
using Aisle.Training.Exchange;
using Aisle.Training.Tests.Worker;

namespace Aisle.Training.Tests.Processes;

/// <summary>One run: the coordinator here, workers as processes of their own that a test can kill.</summary>
internal sealed class ProcessRun : IAsyncDisposable
{
    private static readonly string[] s_defaults =
        ["steps=40", "slices=15", "sequencesPerSlice=2", "contextTokens=16", "optimizer.learningRate=0.02", "checkpointEvery=10"];

    private readonly string[] _parameters;
    private readonly Coordinator _coordinator;
    private readonly ConcurrentDictionary<string, Process> _processes = new(); // the latest of each name
    private readonly ConcurrentBag<Process> _all = [];
    private readonly TaskCompletionSource<TrainingOutcome> _workerFailed = new();
    private readonly List<(Predicate<TrainingEvent> Wanted, TaskCompletionSource Seen)> _waiters = [];
    private readonly List<TrainingEvent> _events = [];
    private readonly bool _ownsFolder;

    public ProcessRun(
        int minimumWorkers = 1, string? folder = null, (long, Digest)? resumeFrom = null, long? stopAt = null, string[]? parameters = null, bool tellRecipe = true, double auditFraction = 1.0 / 64)
    {
        _parameters = parameters ?? s_defaults;
        _ownsFolder = folder is null;
        Folder = folder ?? Directory.CreateTempSubdirectory("aisle-training-").FullName;
        Recipe = TrainingRecipe.FromParameters(_parameters.ToDictionary(parameter => parameter.Split('=')[0], parameter => parameter.Split('=')[1]), seed: 5);
        _coordinator = Coordinator.Start(new CoordinatorOptions
        {
            Recipe = tellRecipe ? Recipe : null,
            ParameterCount = tellRecipe ? NextSymbolModel.Parameters : null,
            Secret = Secret,
            MinimumWorkers = minimumWorkers,
            AuditFraction = auditFraction,
            ResumeFrom = resumeFrom,
            StopAtStep = stopAt,
            Event = happened =>
            {
                lock (_events)
                {
                    _events.Add(happened);
                    _waiters.RemoveAll(waiter => waiter.Wanted(happened) && waiter.Seen.TrySetResult());
                }
            },
        });
    }

    public static byte[] Secret { get; } = [.. Enumerable.Range(1, 32).Select(i => (byte)i)];

    public TrainingRecipe Recipe { get; }

    public string Folder { get; }

    public System.Net.IPEndPoint EndPoint => _coordinator.EndPoint;

    /// <summary>How long the run may take before it counts as stuck.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    public IReadOnlyList<TrainingEvent> Events
    {
        get
        {
            lock (_events) return [.. _events];
        }
    }

    public IEnumerable<long> CommittedSteps => Events.OfType<StepCommitted>().Select(committed => committed.Step);

    /// <summary>Waits for an event that has come or will come.</summary>
    public Task Seen(Predicate<TrainingEvent> wanted)
    {
        var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_events)
        {
            if (_events.Exists(wanted)) return Task.CompletedTask;
            _waiters.Add((wanted, seen));
        }
        return WaitAsync();

        async Task WaitAsync()
        {
            try
            {
                await (await Task.WhenAny(seen.Task, _workerFailed.Task).WaitAsync(Patience)); // a worker that has failed says why
            }
            catch (TimeoutException)
            {
                throw new TimeoutException($"It did not happen within {Patience.TotalSeconds} s:\n{string.Join('\n', Events.TakeLast(60).Where(happened => happened is not (StepCommitted or WorkerStepped or ViewChanged)))}");
            }
        }
    }

    /// <summary>The last step that workers started from here on may compute. Before it is set for the first time, nothing holds them.</summary>
    public long Pace
    {
        get;
        set
        {
            field = value;
            File.WriteAllText(PaceFile + ".new", value.ToString(System.Globalization.CultureInfo.InvariantCulture));
            File.Move(PaceFile + ".new", PaceFile, overwrite: true);
        }
    }

    /// <summary>Lets the run go on slowly until the event has come: who comes in does so between two steps, and however long its process takes to start, there are steps left for it.</summary>
    public async Task CreepUntil(Predicate<TrainingEvent> wanted)
    {
        var seen = Seen(wanted);
        while (!seen.IsCompleted)
        {
            Pace = Math.Max(Pace, CommittedSteps.LastOrDefault()) + 1;
            await Task.WhenAny(seen, Task.Delay(100));
        }
        await seen;
    }

    private string PaceFile => Path.Combine(Folder, "pace");

    public int ProcessIdOf(string name) => _processes[name].Id;

    /// <returns>What the process says at its end, of its failure if it fails; little when it is killed.</returns>
    public Task<string> StartWorker(
        string name, string? secret = null, bool mayFail = false, string[]? parameters = null, string exchange = "automatic", params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Aisle.Training.Tests.Worker"))
        {
            RedirectStandardError = true,
        };
        foreach (var argument in (string[])[name, EndPoint.ToString(), secret ?? Convert.ToHexString(Secret), Folder, .. parameters ?? _parameters]) start.ArgumentList.Add(argument);
        start.Environment[ExchangeTransports.Variable] = exchange;
        if (File.Exists(PaceFile)) start.Environment["TEST_PACE"] = PaceFile;
        foreach (var variable in environment) start.Environment[variable.Name] = variable.Value;
        var process = Process.Start(start)!;
        _processes[name] = process;
        _all.Add(process);
        return Watch();

        async Task<string> Watch()
        {
            var error = await process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync();
            if (process.ExitCode is 1 or 134 && !mayFail) _workerFailed.TrySetException(new InvalidOperationException($"{name} failed: {error}"));
            return error;
        }
    }

    /// <summary>SIGKILL: the process gets no chance to say anything.</summary>
    public void Kill(string name) => _processes[name].Kill();

    public async Task SignalAsync(string name, string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", _processes[name].Id.ToString()]);
        await kill.WaitForExitAsync();
    }

    public async Task<TrainingOutcome> CompletionAsync()
    {
        var first = Task.WhenAny(_coordinator.Completion, _workerFailed.Task);
        if (await Task.WhenAny(first, Task.Delay(Patience)) == first) return await await first;
        throw new TimeoutException($"The run does not end. Its last events:\n{string.Join('\n', Events.TakeLast(12))}");
    }

    public async ValueTask DisposeAsync()
    {
        await _coordinator.DisposeAsync();
        foreach (var process in _all)
        {
            if (!process.HasExited) process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }
        if (_ownsFolder) Directory.Delete(Folder, recursive: true);
    }
}
