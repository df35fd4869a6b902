using System.Net;
using System.Net.Sockets;
using Aisle.Training.Protocol;

namespace Aisle.Training.Exchange;

/// <summary>
/// The ways to a peer, best first. Beside its TCP port a worker listens on a Unix socket whose name says address and port: only on its own host (its own
/// network namespace) can it be reached by that. The name lies in no folder, so nothing stays behind.
/// </summary>
internal static class PeerAddress
{
    public static UnixDomainSocketEndPoint UnixNameOf(IPEndPoint listening) => new($"\0aisle-training/{listening}");

    public static IEnumerable<EndPoint> WaysTo(Member peer, ExchangeTransport transport)
    {
        if (transport != ExchangeTransport.Tcp && IPAddress.TryParse(peer.Host, out var address) && IsThisHost(address))
        {
            yield return UnixNameOf(new IPEndPoint(address, peer.Port));
            yield return UnixNameOf(new IPEndPoint(IPAddress.Any, peer.Port));
        }
        yield return new DnsEndPoint(peer.Host, peer.Port);
    }

    // Only an address of this host can be bound.
    private static bool IsThisHost(IPAddress address)
    {
        if (IPAddress.IsLoopback(address)) return true;
        try
        {
            using var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(new IPEndPoint(address, 0));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
