using System.Net.Sockets;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;

namespace Aisle.Node;

/// <summary>
/// Keeps a node and the first node in step: one loop tells what happened here, one hears what shall run here. Both are level-triggered and
/// harmless to repeat, so a lost answer or a restarted first node needs no special case.
/// </summary>
internal sealed class AgentLink(Agent agent, KnownPeers peers, Func<CancellationToken, Task<AgentReport>> describe, Func<AgentReport, CancellationToken, Task<AgentOrders>> send,
    Func<OrdersVersion, CancellationToken, Task<AgentOrders>> waitForOrders, ILogger<AgentLink> logger)
{
    private const int MostEventsAReport = 512;
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(1);
    private readonly Lock _gate = new();
    private OrdersVersion _version = new("", 0);   // guarded by _gate

    public Task RunAsync(CancellationToken cancellationToken) => Task.WhenAll(ReportAsync(cancellationToken), ObeyAsync(cancellationToken));

    private async Task ReportAsync(CancellationToken cancellationToken)
    {
        AgentReport? unsent = null;
        while (!cancellationToken.IsCancellationRequested)
        {
            // The snapshot comes before the events: an end seen in the snapshot has its last line in these events or earlier ones.
            unsent ??= await describe(cancellationToken) with { Processes = agent.Processes, Events = agent.TakeEvents(MostEventsAReport) };
            if (await TryAsync(() => send(unsent, cancellationToken), cancellationToken) is { } orders)
            {
                Follow(orders);
                var full = unsent.Events.Count == MostEventsAReport;
                unsent = null;
                if (!full) await agent.WaitForChangeAsync(Heartbeat, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task ObeyAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            if (await TryAsync(() => waitForOrders(Seen(), cancellationToken), cancellationToken) is { } orders) Follow(orders);
        }
    }

    private OrdersVersion Seen()
    {
        lock (_gate) return _version;
    }

    private void Follow(AgentOrders orders)
    {
        lock (_gate)
        {
            // Two loops hear orders; an older answer that arrives late must not undo a newer one.
            if (orders.Version.Fleet == _version.Fleet && orders.Version.Number < _version.Number) return;
            _version = orders.Version;
            peers.Learn(orders.Nodes);
            if (orders.Processes is { } wanted) agent.Reconcile(wanted);
        }
    }

    private async Task<AgentOrders?> TryAsync(Func<Task<AgentOrders>> ask, CancellationToken cancellationToken)
    {
        try
        {
            return await ask();
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return null;
        }
        catch (Exception e) when (e is AisleException or IOException or SocketException or HttpRequestException)
        {
            logger.LogWarning("The first node does not answer ({Reason}); trying again", e.Message);
            await Task.Delay(TimeSpan.FromMilliseconds(300), cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return null;
        }
    }
}
