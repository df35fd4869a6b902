using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Aisle.Api;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>
/// What happened to each live job, in order, for those who watch. Soft: when a job ends its events become an artifact. Safe to call from many threads.
/// </summary>
internal sealed class JobEvents(TimeProvider time)
{
    /// <summary>Events kept of one job; the oldest go first, and the reader is told.</summary>
    private const int MostEvents = 50_000;

    private const int MostQuarantined = 64;

    /// <summary>Logs kept in memory.</summary>
    private const int MostLogs = 256;

    private readonly Lock _stamping = new();
    private DateTimeOffset _lastStamp;   // guarded by _stamping
    private readonly ConcurrentDictionary<JobId, Log> _logs = new();

    /// <summary>Records an event of a job, for its own watchers and for those of the pipeline that wants it.</summary>
    public void Add(Job job, JobEvent e)
    {
        lock (_stamping)
        {
            // Strictly later than the one before, across restarts too: a watcher that comes back goes on after the last one it saw.
            var now = time.GetUtcNow();
            _lastStamp = now > _lastStamp ? now : _lastStamp.AddTicks(1);
            e = e with { At = _lastStamp, Title = job.Title };
            LogOf(job.Id).Add(e);
            if (job.Parent is { } parent) LogOf(parent).Add(e);
        }
    }

    /// <summary>The newest event that reports an optimiser step, or null.</summary>
    public JobEvent? LastStep(JobId job) => _logs.TryGetValue(job, out var log) ? log.LastStep : null;

    /// <summary>Workers that were shut out because they compute wrongly, with what showed it.</summary>
    public IReadOnlyList<JobEvent> Quarantined(JobId job) => _logs.TryGetValue(job, out var log) ? log.Quarantined : [];

    /// <summary>Lets go of the oldest logs that are artifacts by now, beyond the newest few hundred.</summary>
    public void ForgetAllBut(IEnumerable<JobId> needed)
    {
        if (_logs.Count <= MostLogs) return;
        var keep = needed.ToHashSet();
        foreach (var job in _logs.Keys.Where(job => !keep.Contains(job)).Order().Take(_logs.Count - MostLogs)) _logs.TryRemove(job, out _);
    }

    public bool Knows(JobId job) => _logs.ContainsKey(job);

    /// <summary>Everything so far as NDJSON, for the log artifact.</summary>
    public ReadOnlyMemory<byte> ToNdjson(JobId job)
    {
        using var text = new MemoryStream();
        foreach (var e in LogOf(job).From(0).Events)
        {
            JsonSerializer.Serialize(text, e, ApiJson.Default.JobEvent);
            text.WriteByte((byte)'\n');
        }
        return text.ToArray();
    }

    /// <summary>Events from the first kept one on; when following, waits for more until <c>finished</c> of this job.</summary>
    public async IAsyncEnumerable<JobEvent> ReadAsync(JobId job, bool follow, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var log = LogOf(job);
        var id = job.ToString();
        long next = 0;
        while (true)
        {
            var (first, events, more) = log.From(next);
            if (first > next)
                yield return new JobEvent { Event = "log", Job = id, Message = $"({first - next} older events are no longer kept)" };
            foreach (var e in events)
            {
                yield return e;
                if (e.Event == "finished" && e.Job == id) yield break;
            }
            next = first + events.Count;
            if (!follow) yield break;
            await more.WaitAsync(cancellationToken);
        }
    }

    private Log LogOf(JobId job) => _logs.GetOrAdd(job, _ => new Log());

    private sealed class Log
    {
        private readonly Lock _gate = new();
        private readonly List<JobEvent> _events = [];
        private long _first;
        private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public JobEvent? LastStep { get; private set; }

        public IReadOnlyList<JobEvent> Quarantined { get; private set; } = [];

        public void Add(JobEvent e)
        {
            lock (_gate)
            {
                if (_events.Count == MostEvents)
                {
                    // A tenth at a time, so that a long run does not move the whole list with every event.
                    _events.RemoveRange(0, MostEvents / 10);
                    _first += MostEvents / 10;
                }
                _events.Add(e);
                if (e.Event == "step") LastStep = e;
                if (e.Event == "workerQuarantined") Quarantined = [.. Quarantined.TakeLast(MostQuarantined - 1), e];
                _more.SetResult();
                _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }

        public (long First, IReadOnlyList<JobEvent> Events, Task More) From(long index)
        {
            lock (_gate)
            {
                var first = Math.Max(index, _first);
                return (first, _events[(int)(first - _first)..], _more.Task);
            }
        }
    }
}
