using System.Collections.Concurrent;

namespace Aisle.Identity;

public sealed record NodeTlsOptions
{
    /// <summary>For one whole handshake, either side. More than nothing.</summary>
    public TimeSpan HandshakeTimeout
    {
        get;
        init => field = value > TimeSpan.Zero ? value : throw new ArgumentOutOfRangeException(nameof(HandshakeTimeout), value, "Give a handshake some time; 10 seconds are usual.");
    } = TimeSpan.FromSeconds(10);

    /// <summary>Peers that may be in the middle of a handshake with this side as the server; one more is refused at once. At least 1.</summary>
    public int MaxHandshakes
    {
        get;
        init => field = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(MaxHandshakes), value, "Allow at least 1 handshake at a time; 64 are usual.");
    } = 64;
}

/// <summary>Turns plain streams between nodes into encrypted ones with a known peer: TLS 1.3, both sides with certificates of the cluster's authority. A peer that is
/// refused costs one handshake, is counted, and disturbs nobody else. When the trust learns that a node is denied, its open connections are cut. Thread-safe.</summary>
/// <remarks>Lives as long as its trust, which tells it of denials.</remarks>
public sealed class NodeTls
{
    private readonly ClusterTrust _trust;
    private readonly TimeProvider _time;
    private readonly RefusalLog _refusals;
    private readonly NodeTlsOptions _options;
    private readonly ConcurrentDictionary<NodeStream, NodeId> _live = []; // to be cut when their peer is denied
    private volatile NodeCredential _own;
    private int _handshakes;

    public NodeTls(NodeCredential own, ClusterTrust trust, TimeProvider time, RefusalLog refusals, NodeTlsOptions? options = null)
    {
        (_own, _trust, _time, _refusals, _options) = (own, trust, time, refusals, options ?? new());
        if (own.Identity.Cluster != trust.Cluster) throw new ArgumentException($"The credential is of cluster {own.Identity.Cluster}, and the trust of {trust.Cluster}.", nameof(own));
        trust.DeniedChanged += CutDenied;
    }

    public NodeCredential Own => _own;

    public ClusterTrust Trust => _trust;

    /// <summary>Connections that are open now.</summary>
    public int Live => _live.Count;

    /// <summary>Connections made from now on show this credential; those that are open go on.</summary>
    /// <exception cref="ArgumentException">It is another node's.</exception>
    public void Use(NodeCredential renewed)
    {
        if (renewed.Identity != _own.Identity) throw new ArgumentException($"{renewed.Identity} is not {_own.Identity}.", nameof(renewed));
        _own = renewed;
    }

    /// <summary>Does the handshake and returns the encrypted stream, which owns <paramref name="inner"/>; when this throws, inner has been disposed. Speak nothing on
    /// inner before or after.</summary>
    /// <param name="isServer">Exactly one side is: the one that was called.</param>
    /// <param name="expected">For the one that calls: the node that is meant. Null when any node of the cluster will do.</param>
    /// <param name="from">Where the peer is, for the log.</param>
    /// <param name="peerRole">What the peer must be.</param>
    /// <exception cref="AisleException">AISLE-8030 to 8036: the peer is refused; 8037: it does not speak TLS 1.3; 8038: it was too slow; 8039: too many at once;
    /// 8040: it refused this side.</exception>
    public async Task<NodeStream> WrapAsync(Stream inner, bool isServer, NodeId? expected = null, string from = "", Role peerRole = Role.Node, CancellationToken cancellationToken = default)
    {
        var crowd = isServer ? Interlocked.Increment(ref _handshakes) : 0;
        try
        {
            if (crowd > _options.MaxHandshakes)
            {
                await inner.DisposeAsync();
                throw new AisleException("AISLE-8039", $"{_options.MaxHandshakes} handshakes are under way already.", "If no attack is going on, try again in a moment.");
            }
            var terms = new HandshakeTerms(_trust, isServer, _own, peerRole, expected, _options.HandshakeTimeout, _time);
            var stream = await Handshake.RunAsync(inner, terms, cancellationToken);
            Remember(stream);
            return stream;
        }
        catch (AisleException refused)
        {
            _refusals.Record(Refusal.From(refused), from);
            throw;
        }
        finally
        {
            if (isServer) Interlocked.Decrement(ref _handshakes);
        }
    }

    private void CutDenied()
    {
        var denied = _trust.Denied;
        foreach (var (stream, peer) in _live)
        {
            if (denied.Contains(peer)) stream.Cut();
        }
    }

    private void Remember(NodeStream stream)
    {
        _live[stream] = stream.Peer.Node;
        stream.WhenClosed(closed => _live.TryRemove(closed, out _));
        // A denial that came between the check and this line found nothing to cut.
        if (_trust.Denied.Contains(stream.Peer.Node)) stream.Cut();
    }
}
