using System.Net;
using System.Net.Sockets;

namespace Aisle.Identity.Tests;

/// <summary>Real TCP on this machine.</summary>
internal static class Loopback
{
    public static Socket Listen()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(128);
        return listener;
    }

    public static async Task<NetworkStream> ConnectAsync(EndPoint to)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(to, TestContext.Current.CancellationToken);
        return new NetworkStream(socket, ownsSocket: true);
    }

    public static async Task<(NetworkStream Caller, NetworkStream Called)> PairAsync()
    {
        using var listener = Listen();
        var accepting = listener.AcceptAsync(TestContext.Current.CancellationToken).AsTask();
        var caller = await ConnectAsync(listener.LocalEndPoint!);
        return (caller, new NetworkStream(await accepting, ownsSocket: true));
    }
}
