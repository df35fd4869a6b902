using System.Collections.Concurrent;
using System.Collections.Immutable;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>
/// Carries wanted work to its end: one loop that looks at what is agreed and what the nodes say, and does what is due. Every turn starts from the
/// ledger, so a turn that was lost (a crash, a restart) is simply taken again.
/// </summary>
internal sealed partial class JobController(
    ILedger ledger, Fleet fleet, JobEvents events, ArtifactStore artifacts, string recordsDir, TimeProvider time, ILogger<JobController> logger) : IAsyncDisposable
{
    /// <summary>Tries of a task that ended without a result before the job fails: its own fault then, not a machine's.</summary>
    private const int MostAttempts = 3;
    private static readonly TimeSpan Turn = TimeSpan.FromMilliseconds(250);

    private readonly SemaphoreSlim _wake = new(0, 1);
    private readonly ConcurrentQueue<ProcessEvent> _reports = new();
    private readonly Dictionary<JobId, DateTimeOffset> _lostAt = [];
    // What had ended before this process started has its log in an artifact; nobody waits for its end.
    private readonly HashSet<JobId> _announced = [.. ledger.State.Jobs.Values.Where(job => job.IsFinished).Select(job => job.Id)];

    /// <summary>Takes what a node reported.</summary>
    public void Accept(AgentReport report)
    {
        fleet.Accept(report);
        foreach (var e in report.Events) _reports.Enqueue(e);
        if (report.Events.Count > 0) Wake();
    }

    public void Wake()
    {
        if (_wake.CurrentCount > 0) return;
        try
        {
            _wake.Release();
        }
        catch (SemaphoreFullException)
        {
            // Somebody else woke it.
        }
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var watch = WakeOnChangesAsync(cancellationToken);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await HearReportsAsync(cancellationToken);
                await AdvancePipelinesAsync(cancellationToken);
                await HandleLossesAsync(cancellationToken);
                await AdvanceTrainingAsync(cancellationToken);
                await PlaceAsync(cancellationToken);
                AnnounceEnds();
                fleet.Want(Orders());
                fleet.Forget(ledger.State);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e) when (e is AisleException or IOException)
            {
                // The next turn starts from the ledger again; what failed is due once more.
                logger.LogWarning("This turn of the job controller did not finish: {Reason}", e.Message);
            }
            await ((Task)_wake.WaitAsync(Turn, cancellationToken)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        await watch.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var run in _training.Values) await run.DisposeAsync();
        _wake.Dispose();
    }

    private async Task WakeOnChangesAsync(CancellationToken cancellationToken)
    {
        var revision = ledger.State.Revision;
        while (true)
        {
            revision = (await ledger.WaitPastAsync(revision, cancellationToken)).Revision;
            Wake();
        }
    }

    private async Task HearReportsAsync(CancellationToken cancellationToken)
    {
        while (_reports.TryDequeue(out var report))
        {
            if (!ledger.State.Jobs.TryGetValue(report.Job, out var job)) continue;
            if (report.Message is not { } message) continue;
            switch (message.Type)
            {
                case "log":
                    events.Add(job, Event(job, "log") with { Worker = report.Process, Message = message.Text });
                    break;
                case "progress":
                    events.Add(job, Event(job, "progress") with { Worker = report.Process, Done = message.Done, Total = message.Total, Unit = message.Unit });
                    break;
                case "ready":
                    events.Add(job, Event(job, "state") with { Worker = report.Process, State = "ready" });
                    break;
                case "result" when !job.IsFinished:
                    await FinishTaskAsync(job, message, cancellationToken);
                    break;
                case "failed" when job.Kind == JobKind.Train:
                    await HearWorkerFailureAsync(job, report.Process, message.Text ?? "It said no more.", cancellationToken);
                    break;
                case "failed" when !job.IsFinished && job.Kind != JobKind.Serve && job.Placements.Any(placement => placement.Process == report.Process):
                    await FailAsync(job, message.Text ?? "It said no more.", cancellationToken);
                    break;
            }
        }
    }

    private async Task FinishTaskAsync(Job job, ProcessMessage message, CancellationToken cancellationToken)
    {
        var spec = await SpecOfAsync(job, cancellationToken);
        await FinishAsync(job, JobState.Succeeded, message.Outputs ?? ImmutableDictionary<string, Digest>.Empty, null, spec, message.Counts, cancellationToken);
    }

    private Task FailAsync(Job job, string error, CancellationToken cancellationToken) =>
        FinishAsync(job, JobState.Failed, ImmutableDictionary<string, Digest>.Empty, error, null, null, cancellationToken);

    /// <summary>Ends a job: its events become an artifact, its result is agreed, and its watchers are told.</summary>
    private async Task FinishAsync(Job job, JobState state, IReadOnlyDictionary<string, Digest> outputs, string? error, JobSpec? spec, RecordCounts? counts,
        CancellationToken cancellationToken)
    {
        var log = await PutLogAsync(job, cancellationToken);
        var sorted = outputs.ToImmutableSortedDictionary(StringComparer.Ordinal);
        var result = state == JobState.Succeeded && spec is not null
            ? new JobResult
            {
                Identity = job.Identity,
                Title = job.Title,
                Spec = job.Spec,
                Kind = job.Kind,
                Inputs = spec.Inputs,
                Outputs = sorted,
                Checkpoints = job.Checkpoints,
                Counts = counts,
                ProducedBy = job.Id,
            }
            : null;
        var answer = await ledger.ProposeAsync(new FinishJob(job.Id, state, sorted, error, log, result) { At = time.GetUtcNow() }, cancellationToken);
        if (answer is Refused refused) logger.LogWarning("{Job} could not be finished as {State}: {What}", job.Id, state, refused.What);
    }

    /// <summary>Tells watchers of every job that ended, whoever ended it: a result, a known result, a cancellation.</summary>
    private void AnnounceEnds()
    {
        var state = ledger.State;
        // A pipeline last: its end is the last that its watchers hear, so they must have heard of its steps.
        foreach (var job in state.Jobs.Values.OrderBy(job => job.Kind == JobKind.Pipeline))
        {
            if (!job.IsFinished || !_announced.Add(job.Id)) continue;
            events.Add(job, EndOf(job, state));
        }
        events.ForgetAllBut(state.Jobs.Values.Where(job => !job.IsFinished || job.Log is null).Select(job => job.Id));
    }

    /// <summary>The last event of a finished job.</summary>
    internal static JobEvent EndOf(Job job, LedgerState state) => Event(job, "finished") with
    {
        At = job.FinishedAt,
        Title = job.Title,
        State = Views.Word(job.State),
        Outputs = job.Outputs,
        FromCache = job.FromCache,
        Error = job.Error,
        Counts = Views.Counts(state.Results.GetValueOrDefault(job.Identity)?.Counts),
        Seconds = (job.FinishedAt - job.StartedAt)?.TotalSeconds,
    };

    private static JobEvent Event(Job job, string kind) => new() { Event = kind, Job = job.Id.ToString() };

    private async Task HandleLossesAsync(CancellationToken cancellationToken)
    {
        foreach (var loss in fleet.Lost(ledger.State))
        {
            // An earlier loss of this turn may have ended the job.
            if (!ledger.State.Jobs.TryGetValue(loss.Job.Id, out var job) || job.IsFinished) continue;
            _lostAt[job.Id] = time.GetUtcNow();
            events.Add(job, Event(job, "workerLost") with { Worker = loss.Placement.Process, Node = loss.Placement.Node, Message = loss.Reason });
            if (loss.LastWords is { } words && loss.ExitCode is not null) events.Add(job, Event(job, "log") with { Worker = loss.Placement.Process, Message = words });
            await ledger.ProposeAsync(new PlaceJob(job.Id, job.Placements.Remove(loss.Placement)) { At = time.GetUtcNow() }, cancellationToken);
            if (job.Kind == JobKind.Task && job.Attempt >= MostAttempts)
                await FailAsync(job, $"{loss.Placement.Process} {loss.Reason}, in attempt {job.Attempt} of {MostAttempts}.", cancellationToken);
        }
    }

    private async Task PlaceAsync(CancellationToken cancellationToken)
    {
        var state = ledger.State;
        var offers = fleet.Nodes.Where(node => node.Up).Select(node => new NodeOffer(node.Name, node.Last.Slots, node.Last.NumericClass)).ToList();
        var classes = new Dictionary<JobId, string>();
        foreach (var job in state.Jobs.Values.Where(job => !job.IsFinished && job.Kind is JobKind.Train or JobKind.Task && job.Placements.Length < job.Workers))
        {
            if ((await SpecOfAsync(job, cancellationToken)).NumericClass is { } wanted) classes[job.Id] = wanted;
        }
        foreach (var placed in Scheduler.Decide(state, offers, _lostAt, classes, time.GetUtcNow(), _shunned))
        {
            var before = state.Jobs[placed.Job];
            if (await ledger.ProposeAsync(placed, cancellationToken) is Refused refused)
            {
                logger.LogWarning("{Job} was not placed: {What}", placed.Job, refused.What);
                continue;
            }
            foreach (var placement in placed.Placements.Except(before.Placements))
            {
                fleet.Placed(placed.Job, placement);
                if (before.Kind == JobKind.Train) _placedOn[(placed.Job, placement.Process)] = placement.Node;
                events.Add(before, Event(before, "state") with { State = "placed", Worker = placement.Process, Node = placement.Node });
            }
        }
    }

    private IEnumerable<(string, ProcessOrder)> Orders()
    {
        foreach (var job in ledger.State.Jobs.Values)
        {
            if (job.IsFinished || job.Kind == JobKind.Pipeline) continue;
            var run = _training.GetValueOrDefault(job.Id);
            if (job.Kind == JobKind.Train && run is null) continue;
            foreach (var placement in job.Placements)
            {
                yield return (placement.Node, new ProcessOrder
                {
                    Job = job.Id,
                    Process = placement.Process,
                    Title = job.Title,
                    Kind = job.Kind,
                    Spec = job.Spec,
                    Coordinator = run?.Address,
                    Secret = run?.Secret,
                });
            }
        }
    }

    // Specs are small and immutable; the ones in use are read once.
    private readonly Dictionary<Digest, JobSpec> _specs = [];

    private async Task<JobSpec> SpecOfAsync(Job job, CancellationToken cancellationToken)
    {
        if (_specs.TryGetValue(job.Spec, out var known)) return known;
        var spec = JobSpec.Parse((await artifacts.ReadEntryAsync(job.Spec, JobSpec.EntryName, cancellationToken: cancellationToken)).Span);
        if (_specs.Count >= 1024) _specs.Clear();
        return _specs[job.Spec] = spec;
    }
}
