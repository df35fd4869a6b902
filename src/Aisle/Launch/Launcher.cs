using System.Net;
using System.Security.Cryptography;
using System.Threading.Channels;
using Aisle.Artifacts;
using Aisle.Training;
using Aisle.Training.Programs;

namespace Aisle.Launch;

/// <summary>What a launch is given.</summary>
internal sealed record LaunchOptions
{
    /// <summary>The user's program and its arguments.</summary>
    public required IReadOnlyList<string> Command { get; init; }

    /// <summary>Copies to start with.</summary>
    public required int Workers { get; init; }

    /// <summary>Fewest and most copies that the run may have.</summary>
    public required (int Least, int Most) Elastic { get; init; }

    /// <summary>Copies that died and may be replaced, over the whole run.</summary>
    public required int Restarts { get; init; }

    /// <summary>The part of all slices that a second copy computes too; null for the usual one.</summary>
    public double? Audit { get; init; }

    public required string Folder { get; init; }

    public required bool Fresh { get; init; }
}

/// <summary>
/// Leads one run of a user's program on this machine: a coordinator here, copies of the program as workers. What happens comes through one queue and is
/// dealt with in one loop, so nothing here needs a lock.
/// </summary>
internal sealed class Launcher : IAsyncDisposable
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
    private readonly LaunchOptions _options;
    private readonly RunFolder _folder;
    private readonly ProgressLines _progress;
    private readonly Action<string> _output;
    private readonly Action<LaunchedWorker> _started;
    private readonly TimeProvider _time;
    private readonly Coordinator _coordinator;
    private readonly Channel<Happening> _happenings = Channel.CreateUnbounded<Happening>(new UnboundedChannelOptions { SingleReader = true });
    private readonly List<LaunchedWorker> _workers = [];
    private int _target;
    private int _named;
    private int _restartsLeft;
    private bool _isKnown;

    private abstract record Happening
    {
        public sealed record Ended(LaunchedWorker Worker, int ExitCode) : Happening;

        public sealed record Scale(int Workers) : Happening;

        public sealed record Look : Happening;
    }

    /// <param name="output">Takes the lines that the copies print as data.</param>
    /// <param name="started">Told of every copy.</param>
    public Launcher(LaunchOptions options, RunFolder folder, Func<Func<long?>, ProgressLines> progress, Action<string> output, Action<LaunchedWorker> started, TimeProvider time)
    {
        (_options, _folder, _output, _started, _time) = (options, folder, output, started, time);
        (_target, _restartsLeft) = (options.Workers, options.Restarts);
        _progress = progress(() => _coordinator?.Run?.Steps);
        // What the model is and how its tensors are named only the copies know.
        if (folder.Model is null) folder.StartRecord(time.GetUtcNow(), _progress.Say, recipe: null, tensors: []);
        var secret = RandomNumberGenerator.GetBytes(32);
        File.Delete(SecretFile);
        RunEnvironment.WriteSecret(SecretFile, secret);
        var coordinator = new CoordinatorOptions
        {
            Secret = secret,
            ResumeFrom = folder.Newest,
            MinimumWorkers = BuildsFirst ? 1 : options.Workers,
            Event = Hear,
            Log = _progress.Say,
            Time = time,
        };
        _coordinator = Coordinator.Start(options.Audit is { } audit ? coordinator with { AuditFraction = audit } : coordinator);
    }

    private string SecretFile => Path.Combine(_folder.Path, ".secret");

    private string Scratch => Path.Combine(_folder.Path, "scratch");

    /// <summary>`dotnet run` builds before it runs, and two at once would write the same files: the first builds, the others follow when it has said hello.</summary>
    private bool BuildsFirst => _options.Command is ["dotnet" or "/usr/bin/dotnet", "run", ..] && !_options.Command.Contains("--no-build");

    /// <summary>Asks for another number of copies.</summary>
    public void Scale(int workers) => _happenings.Writer.TryWrite(new Happening.Scale(workers));

    /// <summary>Carries the run to its end.</summary>
    /// <returns>The model's digest.</returns>
    /// <exception cref="AisleException">The run failed; AISLE-5175: too few copies are left.</exception>
    public async Task<Digest> RunAsync(CancellationToken cancellationToken)
    {
        var wasFinished = _folder.Model is not null; // by this very recipe, as the first worker will show
        using var looking = new Timer(_ => _happenings.Writer.TryWrite(new Happening.Look()), null, s_look, s_look);
        if (_folder.Newest is { } newest) _progress.Say($"Going on from step {newest.Step}.");
        StartMissing();
        while (!_coordinator.Completion.IsCompleted)
        {
            var next = _happenings.Reader.WaitToReadAsync(cancellationToken).AsTask();
            await Task.WhenAny(next, _coordinator.Completion);
            if (_coordinator.Completion.IsCompleted) break;
            await next;
            while (_happenings.Reader.TryRead(out var happening)) Take(happening);
            if (_isKnown && wasFinished)
            {
                _progress.Say("This run is finished already; --fresh starts it anew.");
                return _folder.Model!.Value;
            }
        }
        var outcome = await _coordinator.Completion;
        // They have been told that it is over, and end by themselves.
        await Task.WhenAny(Task.WhenAll(_workers.Select(worker => worker.Ended)), Task.Delay(s_patience, _time, cancellationToken));
        return outcome.Model!.Value;
    }

    public async ValueTask DisposeAsync()
    {
        _progress.End();
        await _coordinator.DisposeAsync();
        foreach (var worker in _workers) worker.Leave();
        await Task.WhenAny(Task.WhenAll(_workers.Select(worker => worker.Ended)), Task.Delay(s_patience / 5, _time));
        foreach (var worker in _workers) worker.Kill();
        foreach (var worker in _workers)
        {
            await worker.Ended;
            worker.Dispose();
        }
        File.Delete(SecretFile);
        if (Directory.Exists(Scratch)) Directory.Delete(Scratch, recursive: true);
    }

    private void Take(Happening happening)
    {
        switch (happening)
        {
            case Happening.Look when !_isKnown && _coordinator.Run is { } run:
                _folder.Expect(run.Recipe);
                _isKnown = true;
                StartMissing();
                break;
            case Happening.Scale scale:
                ScaleTo(scale.Workers);
                break;
            case Happening.Ended ended:
                _workers.Remove(ended.Worker);
                Bury(ended.Worker, ended.ExitCode);
                ended.Worker.Dispose();
                break;
        }
    }

    private void Bury(LaunchedWorker worker, int exitCode)
    {
        if (worker.IsLeaving) return;
        var how = exitCode > 128 ? $"was killed by signal {exitCode - 128}" : $"ended with exit code {exitCode}";
        if (_restartsLeft > 0)
        {
            _restartsLeft--;
            _progress.Say($"{worker.Name} {how}; another takes its place, and {_restartsLeft} restart{(_restartsLeft == 1 ? "" : "s")} remain{(_restartsLeft == 1 ? "s" : "")}.");
            StartMissing();
            return;
        }
        _progress.Say($"{worker.Name} {how}; no restarts are left.");
        var left = _workers.Count(other => !other.IsLeaving);
        _target = Math.Min(_target, left);
        if (left >= _options.Elastic.Least && left > 0) return;
        throw new AisleException(
            "AISLE-5175", $"{left} of at least {_options.Elastic.Least} workers are left; the last to go, {worker.Name}, {how}.",
            _coordinator.Run is null
                ? "No worker came as far as joining the run: look at its own words above. The program must call TrainingProgram.RunAsync."
                : "Look at its own words above, then launch again: the run goes on from its newest state. --restarts and --elastic allow more losses.");
    }

    private void ScaleTo(int workers)
    {
        var (least, most) = _options.Elastic;
        if (workers < least || workers > most)
        {
            _progress.Say($"{workers} workers are outside {least}..{most}; launch with --elastic MIN..MAX to allow them.");
            return;
        }
        _target = workers;
        var staying = _workers.Where(worker => !worker.IsLeaving).ToList();
        _progress.Say($"{workers} worker{(workers == 1 ? "" : "s")} from here on, {staying.Count} until now.");
        foreach (var leaving in staying.Skip(workers)) leaving.Leave();
        StartMissing();
    }

    private void StartMissing()
    {
        var wanted = BuildsFirst && !_isKnown ? Math.Min(_target, 1) : _target;
        while (_workers.Count(worker => !worker.IsLeaving) < wanted) Start();
    }

    private void Start()
    {
        var name = $"worker-{++_named}";
        var environment = new RunEnvironment
        {
            Coordinator = _coordinator.EndPoint,
            SecretFile = SecretFile,
            WorkerName = name,
            Store = _folder.StorePath,
            Scratch = Path.Combine(Scratch, name),
        };
        var command = BuildsFirst && _isKnown ? ["dotnet", "run", "--no-build", .. _options.Command.Skip(2)] : _options.Command;
        var worker = LaunchedWorker.Start(name, command, environment.ToVariables(), (line, isTalk) =>
        {
            if (isTalk) _progress.Say($"{name}  {line}");
            else _output($"{name}  {line}");
        });
        _workers.Add(worker);
        _started(worker);
        _ = worker.Ended.ContinueWith(
            ended => _happenings.Writer.TryWrite(new Happening.Ended(worker, ended.Result)), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private void Hear(TrainingEvent happened)
    {
        _folder.Record(happened, _coordinator.Run!.Recipe);
        _progress.Show(happened);
    }
}
