using System.Net;
using System.Net.Sockets;

namespace Aisle.Training.Wire;

/// <summary>Frames over one TCP or Unix connection. One thread receives; any thread sends. Blocking: whoever uses it has a thread for it.</summary>
internal sealed class Connection : IDisposable
{
    private const int SocketBufferBytes = 2 << 20;
    private static readonly TimeSpan s_handshakeWithin = TimeSpan.FromSeconds(5);
    private readonly Socket _socket;
    private readonly FrameReader _reader;
    private readonly Lock _sending = new();
    private byte[] _frame = new byte[1 << 12]; // guarded by _sending

    public Connection(Socket socket)
    {
        _socket = socket;
        IsLocal = socket.AddressFamily == AddressFamily.Unix || socket.RemoteEndPoint is IPEndPoint { Address: var address } && IPAddress.IsLoopback(address);
        if (socket.AddressFamily != AddressFamily.Unix) socket.NoDelay = true;
        socket.SendBufferSize = socket.ReceiveBufferSize = SocketBufferBytes;
        Remote = socket.RemoteEndPoint as IPEndPoint ?? new IPEndPoint(IPAddress.None, 0);
        Local = socket.LocalEndPoint as IPEndPoint ?? new IPEndPoint(IPAddress.None, 0);
        _reader = new FrameReader(new NetworkStream(socket, ownsSocket: false));
    }

    /// <summary>Of a TCP connection; no address otherwise.</summary>
    public IPEndPoint Remote { get; }

    public IPEndPoint Local { get; }

    /// <summary>Whether the other end is surely on this host.</summary>
    public bool IsLocal { get; }

    /// <summary>For whoever sends past <see cref="Send"/>.</summary>
    public SafeSocketHandle Handle => _socket.SafeHandle;

    /// <exception cref="SocketException">Nobody answers there.</exception>
    /// <exception cref="AisleException">AISLE-5125: whoever answers does not know the secret.</exception>
    public static Connection Dial(EndPoint to, ReadOnlySpan<byte> secret)
    {
        var socket = to is UnixDomainSocketEndPoint ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) : new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(to);
            var connection = new Connection(socket);
            connection.Shake(static (connection, secret) => Handshake.Dial(connection, secret), secret);
            return connection;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Takes over the socket, also when it throws.</summary>
    public static Connection Accept(Socket socket, ReadOnlySpan<byte> secret)
    {
        try
        {
            var connection = new Connection(socket);
            connection.Shake(static (connection, secret) => Handshake.Accept(connection, secret), secret);
            return connection;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>How long the other end may be silent before <see cref="TryReceive"/> gives up with an <see cref="IOException"/>.</summary>
    public void ReceiveWithin(TimeSpan time) => _socket.ReceiveTimeout = time == Timeout.InfiniteTimeSpan ? 0 : (int)time.TotalMilliseconds;

    /// <summary>How many bytes the other end may have under way to here: what the system keeps until it is received. Whoever has sent so many waits.</summary>
    public void Grant(int bytes) => _socket.ReceiveBufferSize = bytes / 2; // Linux sets aside twice what it is told, and nearly all of it can hold payload

    public void SendWithin(TimeSpan time) => _socket.SendTimeout = (int)time.TotalMilliseconds;

    /// <exception cref="SocketException">The connection is gone.</exception>
    public void Send(FrameKind kind, ReadOnlySpan<byte> body)
    {
        lock (_sending)
        {
            var bytes = Frame.HeaderBytes + body.Length;
            if (_frame.Length < bytes) _frame = new byte[bytes];
            body.CopyTo(_frame.AsSpan(Frame.HeaderBytes));
            Frame.Seal(_frame.AsSpan(0, bytes), kind);
            ReadOnlySpan<byte> frame = _frame.AsSpan(0, bytes);
            while (!frame.IsEmpty) frame = frame[_socket.Send(frame)..];
        }
    }

    /// <summary>Waits for a frame; false when the other end has closed. The body stands until the next call.</summary>
    public bool TryReceive(out FrameKind kind, out ReadOnlySpan<byte> body) => _reader.TryRead(out kind, out body);

    /// <summary>Calls back, once, when the other end closes or the connection breaks. For a connection on which nothing is received.</summary>
    public void WhenBroken(Action broken)
    {
        // A blocked thread, and no asynchronous receive: that would be woken whenever the socket has room again, which for a Unix socket is after every send.
        new Thread(Watch) { IsBackground = true, Name = "watches a peer" }.Start();

        void Watch()
        {
            try
            {
                _socket.Receive(new byte[1]);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // However it ended, it ended.
            }
            broken();
        }
    }

    /// <summary>Ends every call that waits on the connection.</summary>
    public void Dispose()
    {
        // Shut down first: a thread blocked in receive is woken by that, not by closing.
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Already gone.
        }
        _socket.Dispose();
    }

    private void Shake(Action<Connection, byte[]> shake, ReadOnlySpan<byte> secret)
    {
        (_socket.ReceiveTimeout, _socket.SendTimeout) = ((int)s_handshakeWithin.TotalMilliseconds, (int)s_handshakeWithin.TotalMilliseconds);
        shake(this, secret.ToArray());
        (_socket.ReceiveTimeout, _socket.SendTimeout) = (0, 0);
    }
}
