using Aisle.Ledger.Transport;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Node;

/// <summary>Members of one process, each with a real directory, and a network between them that a test can cut.</summary>
internal sealed class Nodes : IAsyncDisposable
{
    public const string Cluster = "00112233445566778899aabbccddeeff";

    private readonly TemporaryDirectory _directory = new();
    private readonly Dictionary<ulong, LedgerNode> _running = [];

    public InProcessNetwork Network { get; } = new();

    public LedgerOptions Ledger { get; init; } = new();

    public IEnumerable<LedgerNode> Running => _running.Values;

    public LedgerNode this[ulong member] => _running[member];

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public static async Task<Nodes> StartAsync(int members, LedgerOptions? ledger = null)
    {
        var nodes = new Nodes { Ledger = ledger ?? new LedgerOptions() };
        var voters = Enumerable.Range(1, members).Select(member => (ulong)member).ToArray();
        foreach (var member in voters) await nodes.StartAsync(member, voters);
        return nodes;
    }

    public async Task<LedgerNode> StartAsync(ulong member, params ulong[] first)
    {
        var options = new LedgerNodeOptions { Member = member, Cluster = Cluster, FirstMembers = [.. first], Ledger = Ledger, Seed = 1, LeaderWait = TimeSpan.FromSeconds(30) };
        return _running[member] = await LedgerNode.OpenAsync(Path.Combine(_directory.Path, $"m{member}"), options, _ => Network.Join(new MemberId(member)), Ct);
    }

    public async Task StopAsync(ulong member)
    {
        await _running[member].DisposeAsync();
        _running.Remove(member);
    }

    /// <summary>Who leads, as soon as somebody does whom the others follow.</summary>
    public async Task<LedgerNode> LeaderAsync()
    {
        while (true)
        {
            foreach (var node in _running.Values)
            {
                try
                {
                    if (!node.Status.Leads) continue;
                    await node.ReadAsync(Ct);
                    return node;
                }
                catch (AisleException)
                {
                    // Not any more.
                }
            }
            await Task.Delay(5, Ct);
        }
    }

    /// <summary>Asks whoever leads until the command is answered, in a session, so that it runs once.</summary>
    public async Task<LedgerAnswer> AskAsync(LedgerCommand command)
    {
        while (true)
        {
            try
            {
                return await (await LeaderAsync()).ProposeAsync(command, Ct);
            }
            catch (AisleException e) when (e.Code is LedgerCodes.NotLeader or LedgerCodes.NoLeader or LedgerCodes.OutcomeUnknown or LedgerCodes.Busy or LedgerCodes.Stopped)
            {
                // Again.
            }
        }
    }

    /// <summary>All members have come to the same state.</summary>
    public async Task AssertEqualAsync()
    {
        var state = await (await LeaderAsync()).ReadAsync(Ct);
        foreach (var node in _running.Values)
        {
            while (node.State.Revision < state.Revision) await node.WaitPastAsync(node.State.Revision, Ct);
            if (node.State.Revision == state.Revision) Assert.Equal(state.Text(), node.State.Text());
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in _running.Values) await node.DisposeAsync();
        _directory.Dispose();
    }
}
