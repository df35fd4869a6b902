using Aisle.Ledger;

namespace Aisle.Jobs;

/// <summary>A node as it last spoke.</summary>
public sealed record FleetNode(AgentReport Last, DateTimeOffset LastSeen, bool Up)
{
    public string Name => Last.Node;
}

/// <summary>A placed process that is no more.</summary>
/// <param name="ExitCode">Null when its node is gone.</param>
public sealed record LostProcess(Job Job, Placement Placement, string Reason, int? ExitCode, string? LastWords);

/// <summary>
/// The nodes that report, the orders they are given, and which placed processes are lost. Soft state: after a restart it is rebuilt from the
/// nodes' reports. Safe to call from many threads.
/// </summary>
/// <param name="incarnation">Different for each start of the first node.</param>
public sealed class Fleet(string incarnation, TimeProvider time)
{
    /// <summary>Silence after which a node counts as down. Being wrong costs a process started twice, never a result.</summary>
    public static readonly TimeSpan DownAfter = TimeSpan.FromSeconds(3);

    /// <summary>How long a node that this process has never heard of may take to report after a start: what runs there is worth waiting for.</summary>
    public static readonly TimeSpan HeardWithin = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly DateTimeOffset _started = time.GetUtcNow();
    private readonly SortedDictionary<string, FleetNode> _nodes = new(StringComparer.Ordinal);

    // Node incarnation that each placed process belongs to; with the incarnation the process is gone.
    private readonly Dictionary<ProcessKey, string> _placedIn = [];
    private readonly Dictionary<ProcessKey, (int Code, string? LastWords)> _exited = [];
    private Dictionary<string, IReadOnlyList<ProcessOrder>>? _wanted; // null until it is known: then nodes leave what they run as it is
    private long _version = 1;
    private TaskCompletionSource _newVersion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyList<FleetNode> Nodes
    {
        get
        {
            var now = time.GetUtcNow();
            lock (_gate) return [.. _nodes.Values.Select(node => node with { Up = now - node.LastSeen < DownAfter })];
        }
    }

    public void Accept(AgentReport report)
    {
        lock (_gate)
        {
            var known = _nodes.TryGetValue(report.Node, out var before);
            // Events were taken by the caller; keeping them here would keep every log line alive.
            _nodes[report.Node] = new FleetNode(report with { Events = [] }, time.GetUtcNow(), Up: true);
            foreach (var e in report.Events)
            {
                if (e.ExitCode is { } code) _exited[new ProcessKey(e.Job, e.Process)] = (code, e.LastWords);
            }
            if (!known || before!.Last.Url != report.Url || before.Last.Incarnation != report.Incarnation) Announce();
        }
    }

    /// <summary>Remembers under which incarnation of its node a process was placed.</summary>
    public void Placed(JobId job, Placement placement)
    {
        lock (_gate)
        {
            if (_nodes.TryGetValue(placement.Node, out var node)) _placedIn[new ProcessKey(job, placement.Process)] = node.Last.Incarnation;
        }
    }

    /// <summary>Placed processes of unfinished jobs that have ended or whose node has.</summary>
    public IReadOnlyList<LostProcess> Lost(LedgerState state)
    {
        var now = time.GetUtcNow();
        var lost = new List<LostProcess>();
        lock (_gate)
        {
            foreach (var job in state.Jobs.Values)
            {
                if (job.IsFinished) continue;
                foreach (var placement in job.Placements)
                {
                    var key = new ProcessKey(job.Id, placement.Process);
                    if (_exited.TryGetValue(key, out var exit)) lost.Add(new LostProcess(job, placement, Describe(exit.Code), exit.Code, exit.LastWords));
                    else if (WhyGone(key, placement.Node, now) is { } reason) lost.Add(new LostProcess(job, placement, reason, null, null));
                }
            }
        }
        return lost;
    }

    /// <summary>Address of a running process that has said it is ready.</summary>
    public Uri? ReadyUrl(JobId job, Placement placement)
    {
        lock (_gate) return View(job, placement) is { ExitCode: null, Url: { } url } ? url : null;
    }

    public ProcessView? View(JobId job, Placement placement)
    {
        lock (_gate)
            return _nodes.TryGetValue(placement.Node, out var node)
                ? node.Last.Processes.FirstOrDefault(process => process.Job == job && process.Process == placement.Process)
                : null;
    }

    /// <summary>Sets all orders of all nodes; nodes that wait hear of it at once when anything changed.</summary>
    public void Want(IEnumerable<(string Node, ProcessOrder Order)> orders)
    {
        var wanted = orders.GroupBy(order => order.Node, StringComparer.Ordinal)
            .ToDictionary(group => group.Key, IReadOnlyList<ProcessOrder> (group) => [.. group.Select(order => order.Order)], StringComparer.Ordinal);
        lock (_gate)
        {
            if (_wanted is not null && wanted.Count == _wanted.Count && wanted.All(pair => _wanted.TryGetValue(pair.Key, out var before) && before.SequenceEqual(pair.Value))) return;
            _wanted = wanted;
            Announce();
        }
    }

    /// <summary>Forgets what is only known of processes that no unfinished job places.</summary>
    public void Forget(LedgerState state)
    {
        lock (_gate)
        {
            if (_placedIn.Count + _exited.Count == 0) return;
            var live = state.Jobs.Values.Where(job => !job.IsFinished).SelectMany(job => job.Placements.Select(placement => new ProcessKey(job.Id, placement.Process))).ToHashSet();
            foreach (var key in _placedIn.Keys.Where(key => !live.Contains(key)).ToList()) _placedIn.Remove(key);
            foreach (var key in _exited.Keys.Where(key => !live.Contains(key)).ToList()) _exited.Remove(key);
        }
    }

    /// <summary>A node's orders: at once when they are newer than <paramref name="seen"/>, else when they become so or patience ends.</summary>
    public async Task<AgentOrders> OrdersAsync(string node, OrdersVersion seen, TimeSpan patience, CancellationToken cancellationToken)
    {
        Task changed;
        lock (_gate)
        {
            if (seen.Fleet != incarnation || _version > seen.Number) return Orders(node);
            changed = _newVersion.Task;
        }
        await changed.WaitAsync(patience, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate) return Orders(node);
    }

    private AgentOrders Orders(string node) => new(
        new OrdersVersion(incarnation, _version),
        _wanted is null ? null : _wanted.GetValueOrDefault(node, []),
        [.. _nodes.Values.Select(known => new PeerNode(known.Name, known.Last.Url, time.GetUtcNow() - known.LastSeen < DownAfter))]);

    private void Announce()
    {
        _version++;
        _newVersion.SetResult();
        _newVersion = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private string? WhyGone(ProcessKey key, string nodeName, DateTimeOffset now)
    {
        if (!_nodes.TryGetValue(nodeName, out var node))
            return now - _started > HeardWithin ? $"{nodeName} has not been heard of since the restart" : null;
        if (now - node.LastSeen > DownAfter) return $"{nodeName} is down";
        if (_placedIn.TryGetValue(key, out var life))
            return life == node.Last.Incarnation ? null : $"{nodeName} was restarted";

        // Placed before this process started: it lives if its node says so.
        if (!node.Last.Processes.Any(process => process.Key == key && process.ExitCode is null)) return $"{nodeName} no longer runs it";
        _placedIn[key] = node.Last.Incarnation;
        return null;
    }

    private static string Describe(int exitCode) => exitCode > 128 ? $"killed by signal {exitCode - 128}" : $"ended with exit code {exitCode}";
}
