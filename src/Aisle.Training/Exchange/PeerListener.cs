using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>A frame from a peer. Called on that peer's thread; the body stands until it returns.</summary>
internal delegate void FrameArrived(MemberId from, FrameKind kind, ReadOnlySpan<byte> body);

/// <summary>Where peers bring their frames: one listening socket, one thread for each connection.</summary>
internal sealed class PeerListener : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly byte[] _secret;
    private readonly FrameArrived _arrived;
    private readonly Action<string> _log;
    private readonly Lock _gate = new(); // guards _open and _closed
    private readonly HashSet<Connection> _open = [];
    private bool _closed;

    public PeerListener(IPAddress address, int port, ReadOnlySpan<byte> secret, FrameArrived arrived, Action<string> log)
    {
        (_secret, _arrived, _log) = (secret.ToArray(), arrived, log);
        _listener.Bind(new IPEndPoint(address, port));
        _listener.Listen(128);
        EndPoint = (IPEndPoint)_listener.LocalEndPoint!;
        new Thread(Accept) { IsBackground = true, Name = "peers" }.Start();
    }

    public IPEndPoint EndPoint { get; }

    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (var connection in _open) connection.Dispose();
        }
        _listener.Dispose();
    }

    private void Accept()
    {
        while (true)
        {
            try
            {
                var socket = _listener.Accept();
                new Thread(() => Serve(socket)) { IsBackground = true, Name = "from a peer" }.Start();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                lock (_gate)
                {
                    if (_closed) return;
                }
            }
        }
    }

    private void Serve(Socket socket)
    {
        Connection? connection = null;
        try
        {
            connection = Connection.Accept(socket, _secret);
            lock (_gate)
            {
                if (_closed) return;
                _open.Add(connection);
            }
            if (!connection.TryReceive(out var hello, out var body) || hello != FrameKind.PeerHello || body.Length != sizeof(int)) return;
            var from = new MemberId(BinaryPrimitives.ReadInt32LittleEndian(body));
            while (connection.TryReceive(out var kind, out body)) _arrived(from, kind, body);
        }
        catch (AisleException e)
        {
            // The dialling end notices, opens a new connection and sends again.
            _log(e.Message);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // A peer that died: the coordinator says so.
        }
        finally
        {
            connection?.Dispose();
            socket.Dispose();
            lock (_gate)
            {
                if (connection is not null) _open.Remove(connection);
            }
        }
    }
}
