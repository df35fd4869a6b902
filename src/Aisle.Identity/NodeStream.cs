using System.Net.Security;

namespace Aisle.Identity;

/// <summary>An encrypted connection with a peer that proved who it is. A stream like any other; it owns the stream beneath.</summary>
public sealed class NodeStream : SslStream
{
    private readonly Stream _inner;
    private Action<NodeStream>? _closed;

    internal NodeStream(Stream inner) : base(inner, leaveInnerStreamOpen: false) => _inner = inner;

    public PeerIdentity Peer { get; internal set; }

    internal void WhenClosed(Action<NodeStream> closed) => _closed = closed;

    /// <summary>Ends it under whoever reads or writes: they get an <see cref="IOException"/> or <see cref="ObjectDisposedException"/>.</summary>
    internal void Cut() => _inner.Dispose();

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        Interlocked.Exchange(ref _closed, null)?.Invoke(this);
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        Interlocked.Exchange(ref _closed, null)?.Invoke(this);
    }
}
