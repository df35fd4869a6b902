using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>Who a connection comes from, and its memory where that can be read here.</summary>
internal sealed record Sender(PeerHello Hello, PeerArena? Arena);

/// <summary>A frame from a peer. Called on that peer's thread; the body stands until it returns.</summary>
internal delegate void FrameArrived(Sender from, FrameKind kind, ReadOnlySpan<byte> body);

/// <summary>The first frame of a connection between workers: who dials whom, in which term, and where the dialling end's memory is when it shares it.</summary>
internal readonly record struct PeerHello(long Term, MemberId From, MemberId To, ArenaOffer? Arena)
{
    private const int FixedBytes = sizeof(long) + 2 * sizeof(int);

    public byte[] ToBytes()
    {
        var body = new byte[FixedBytes + (Arena is null ? 0 : ArenaOffer.SizeBytes)];
        BinaryPrimitives.WriteInt64LittleEndian(body, Term);
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(8), From.Value);
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(12), To.Value);
        Arena?.Write(body.AsSpan(FixedBytes));
        return body;
    }

    /// <exception cref="AisleException">AISLE-5131: no hello.</exception>
    public static PeerHello Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length != FixedBytes && body.Length != FixedBytes + ArenaOffer.SizeBytes) throw ContributionFrame.Malformed(body.Length);
        return new PeerHello(
            BinaryPrimitives.ReadInt64LittleEndian(body),
            new MemberId(BinaryPrimitives.ReadInt32LittleEndian(body[8..])),
            new MemberId(BinaryPrimitives.ReadInt32LittleEndian(body[12..])),
            body.Length > FixedBytes ? ArenaOffer.Read(body[FixedBytes..]) : null);
    }
}

/// <summary>Where peers bring their frames: a TCP port, a Unix socket beside it for peers on this host, and one thread for each connection.</summary>
internal sealed class PeerListener : IDisposable
{
    /// <summary>What all peers together may have under way to this worker, however many send at once.</summary>
    public const int WindowBytes = 16 << 20;
    private const int LargestGrantBytes = 4 << 20;
    private const int SmallestGrantBytes = 128 << 10; // so that the bound holds up to 128 peers
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly Socket? _localListener;
    private readonly ExchangeTransport _transport;
    private readonly byte[] _secret;
    private readonly FrameArrived _arrived;
    private readonly Action<string> _log;
    private readonly Lock _gate = new(); // guards _open and _closed
    private readonly HashSet<Connection> _open = [];
    private bool _closed;

    public PeerListener(IPAddress address, int port, ReadOnlySpan<byte> secret, ExchangeTransport transport, FrameArrived arrived, Action<string> log)
    {
        (_secret, _transport, _arrived, _log) = (secret.ToArray(), transport, arrived, log);
        _listener.Bind(new IPEndPoint(address, port));
        _listener.Listen(128);
        EndPoint = (IPEndPoint)_listener.LocalEndPoint!;
        new Thread(() => Accept(_listener)) { IsBackground = true, Name = "peers" }.Start();
        if (transport == ExchangeTransport.Tcp) return;
        _localListener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _localListener.Bind(PeerAddress.UnixNameOf(EndPoint));
        _localListener.Listen(128);
        new Thread(() => Accept(_localListener)) { IsBackground = true, Name = "peers here" }.Start();
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
        _localListener?.Dispose();
    }

    /// <summary>Closes what peers have opened: they open it again and send everything anew that this worker may lack.</summary>
    public void CloseConnections()
    {
        lock (_gate)
        {
            foreach (var connection in _open) connection.Dispose();
            _open.Clear(); // nothing more is granted to them
        }
    }

    /// <summary>Under the lock. A peer that has been granted more keeps it until what it has sent is taken in: a grant is never taken back.</summary>
    private void Share()
    {
        if (_closed || _open.Count == 0) return;
        var grant = Math.Clamp(WindowBytes / _open.Count, SmallestGrantBytes, LargestGrantBytes);
        foreach (var connection in _open) connection.Grant(grant);
    }

    private void Accept(Socket listener)
    {
        while (true)
        {
            try
            {
                var socket = listener.Accept();
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
        PeerArena? arena = null;
        try
        {
            connection = Connection.Accept(socket, _secret);
            lock (_gate)
            {
                if (_closed) return;
                _open.Add(connection);
                Share();
            }
            if (!connection.TryReceive(out var hello, out var body) || hello != FrameKind.PeerHello) return;
            var said = PeerHello.Parse(body);
            if (said.Arena is { } offer && connection.IsLocal && _transport == ExchangeTransport.Automatic) arena = PeerArena.TryMap(offer);
            connection.Send(FrameKind.PeerReady, [arena is null ? (byte)0 : (byte)1]);
            var from = new Sender(said, arena);
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
            lock (_gate)
            {
                if (connection is not null && _open.Remove(connection)) Share(); // before it is closed: whoever shares meanwhile grants to all that are in there
            }
            connection?.Dispose();
            socket.Dispose();
            arena?.Release();
        }
    }
}
