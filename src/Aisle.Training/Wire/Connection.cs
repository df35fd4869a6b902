using System.Net;
using System.Net.Sockets;

namespace Aisle.Training.Wire;

/// <summary>Frames over one TCP connection. One thread receives; any thread sends. Blocking: whoever uses it has a thread for it.</summary>
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
        socket.NoDelay = true;
        socket.SendBufferSize = socket.ReceiveBufferSize = SocketBufferBytes;
        Remote = socket.RemoteEndPoint as IPEndPoint ?? new IPEndPoint(IPAddress.None, 0);
        Local = socket.LocalEndPoint as IPEndPoint ?? new IPEndPoint(IPAddress.None, 0);
        _reader = new FrameReader(new NetworkStream(socket, ownsSocket: false));
    }

    public IPEndPoint Remote { get; }

    public IPEndPoint Local { get; }

    /// <exception cref="SocketException">Nobody answers there.</exception>
    /// <exception cref="AisleException">AISLE-5125: whoever answers does not know the secret.</exception>
    public static Connection Dial(EndPoint to, ReadOnlySpan<byte> secret)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
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
    public void ReceiveWithin(TimeSpan time) => _socket.ReceiveTimeout = (int)time.TotalMilliseconds;

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
            SendSealed(_frame.AsSpan(0, bytes));
        }
    }

    /// <summary>Sends frames that are sealed already. For a connection on which one thread alone sends.</summary>
    public void SendSealed(ReadOnlySpan<byte> frames)
    {
        while (!frames.IsEmpty) frames = frames[_socket.Send(frames)..];
    }

    /// <summary>Waits for a frame; false when the other end has closed. The body stands until the next call.</summary>
    public bool TryReceive(out FrameKind kind, out ReadOnlySpan<byte> body) => _reader.TryRead(out kind, out body);

    /// <summary>Calls back, once, when the other end closes or the connection breaks. For a connection on which nothing is received.</summary>
    public void WhenBroken(Action broken)
    {
        _ = Watch();

        async Task Watch()
        {
            try
            {
                await _socket.ReceiveAsync(new byte[1]).ConfigureAwait(false);
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
