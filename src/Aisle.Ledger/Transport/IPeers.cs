using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Transport;

/// <summary>The way to the other members. Anything sent may be lost, doubled, late or out of order, and is never changed. Safe to call from many threads.</summary>
internal interface IPeers : IAsyncDisposable
{
    /// <summary>From now on, what arrives is handed over.</summary>
    void Start(IPeerListener listener);

    /// <summary>Never waits and never throws: what cannot leave is dropped.</summary>
    void Send(Message message);
}

/// <summary>The member behind <see cref="IPeers"/>.</summary>
internal interface IPeerListener
{
    /// <summary>Waits while the member has too much to read: the sender is slowed down.</summary>
    ValueTask ReceiveAsync(Message message, CancellationToken cancellationToken);

    /// <summary>The way to a peer broke.</summary>
    void Lost(MemberId peer);
}

/// <summary>Of a member that is alone.</summary>
internal sealed class NoPeers : IPeers
{
    public void Start(IPeerListener listener)
    {
    }

    public void Send(Message message)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
