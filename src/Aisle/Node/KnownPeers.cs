using System.Collections.Immutable;
using Aisle.Api;
using Aisle.Jobs;

namespace Aisle.Node;

/// <summary>The other nodes as this one last heard of them, each with one open way to its disk. Safe to call from many threads.</summary>
internal sealed class KnownPeers(string self, string token) : IDisposable
{
    private ImmutableDictionary<string, (PeerNode Node, HttpTransport Transport, RemoteStore Store)> _peers =
        ImmutableDictionary.Create<string, (PeerNode, HttpTransport, RemoteStore)>(StringComparer.Ordinal);

    /// <summary>Name → the disk of that node, for all known nodes but this one. Silent ones too: whoever uses one finds out.</summary>
    public IReadOnlyDictionary<string, RemoteStore> Stores => _peers.ToImmutableSortedDictionary(pair => pair.Key, pair => pair.Value.Store, StringComparer.Ordinal);

    public void Learn(IReadOnlyList<PeerNode> nodes)
    {
        foreach (var node in nodes)
        {
            if (node.Name == self) continue;
            if (_peers.TryGetValue(node.Name, out var known) && known.Node.Url == node.Url) continue;
            var transport = new HttpTransport(node.Url, token);
            _peers = _peers.SetItem(node.Name, (node, transport, new RemoteStore(transport, RemoteStore.Replica)));
            // A node that moved left connections to its old address; requests under way end by themselves.
        }
    }

    public void Dispose()
    {
        foreach (var (_, transport, _) in _peers.Values) transport.Dispose();
    }
}
