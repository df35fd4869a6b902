using System.Net;
using System.Net.Sockets;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>Something to send whose bytes are made when its turn comes. Holds its buffer until <see cref="Done"/>, sent or not.</summary>
internal readonly record struct Parcel(ParcelKind Kind, long Step, int Shard, ShardNote Note, SliceSet? Slices, SharedBuffer? Buffer, NumberForm Form, OptimizerPowers Powers = default)
{
    public void Done() => Buffer?.Release();
}

internal enum ParcelKind
{
    Contribution,
    Reduced,
    State,

    /// <summary>Without a buffer: asks for the shard's piece of state <see cref="Parcel.Step"/> or a later one.</summary>
    StateAsked,
}

/// <summary>
/// This worker's way to one peer: a connection, a thread and a queue. Whoever queues something also sends as much as the socket takes at once
/// (<see cref="Pump"/>), which spares a small message the thread's waking up; the thread sends what is left, in order. When the connection breaks, the queue
/// is emptied and, once there is a connection again, <c>reset</c> is called: it queues everything that the peer may lack.
/// </summary>
internal sealed partial class PeerLink : IDisposable
{
    private static readonly TimeSpan s_longestPause = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_giveUpAfter = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_answerWithin = TimeSpan.FromSeconds(5);
    private readonly Member _peer;
    private readonly PeerLinkOptions _options;
    private readonly Thread _thread;
    private readonly object _gate = new(); // guards what follows; a plain object, because its holders wait for each other's changes
    private readonly Queue<Parcel> _queue = new(); // bounded by the protocol: each shard of a few steps once, and a few pieces of a state
    private Connection? _connection;
    private bool _sending = true; // whoever sets it may touch the fields of PeerLink.Send.cs; first the thread
    private bool _leftToThread;
    private bool _broken;
    private bool _closed;

    public PeerLink(Member peer, PeerLinkOptions options)
    {
        (_peer, _options) = (peer, options);
        _heads = GC.AllocateUninitializedArray<byte>(AimedSendBytes + Frame.HeaderBytes + ContributionFrame.MaxBodyBytes(options.Grid.ShardElements), pinned: true);
        _thread = new Thread(Run) { IsBackground = true, Name = $"to {peer.Name}" };
        _thread.Start();
    }

    public MemberId Peer => _peer.Id;

    /// <summary>Queues a parcel and takes over its hold; <see cref="Pump"/> sends it.</summary>
    public void Post(Parcel parcel)
    {
        lock (_gate)
        {
            if (!_closed)
            {
                _queue.Enqueue(parcel);
                return;
            }
        }
        parcel.Done();
    }

    /// <summary>Sends what is queued as far as the socket takes it at once; the rest is left to the thread. Does not wait, so any thread may call it.</summary>
    public void Pump()
    {
        Connection connection;
        lock (_gate)
        {
            if (_sending || _connection is null || _broken || _closed) return;
            (_sending, connection) = (true, _connection);
        }
        try
        {
            if (SendQueued(connection, mayWait: false)) return;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The thread sees the same break and connects again.
        }
        lock (_gate)
        {
            _leftToThread = true;
            Monitor.PulseAll(_gate);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            _connection?.Dispose();
            Monitor.PulseAll(_gate);
        }
    }

    private void Run()
    {
        try
        {
            var isFirst = true;
            while (Connect() is { } connection)
            {
                if (!isFirst) _options.Reset(_peer.Id);
                isFirst = false;
                SendUntilBroken(connection);
                connection.Dispose();
                Empty();
            }
        }
        finally
        {
            Empty();
            _out.Dispose();
        }
    }

    private Connection? Connect()
    {
        var pause = TimeSpan.FromMilliseconds(10);
        var start = _options.Time.GetTimestamp();
        var toldUnreachable = false;
        while (true)
        {
            lock (_gate)
            {
                if (_closed) return null;
            }
            try
            {
                var connection = Dial();
                lock (_gate)
                {
                    (_connection, _broken) = (connection, false);
                    if (_closed) connection.Dispose();
                }
                connection.WhenBroken(() =>
                {
                    lock (_gate)
                    {
                        _broken |= _connection == connection;
                        Monitor.PulseAll(_gate);
                    }
                });
                return connection;
            }
            catch (Exception e) when (e is SocketException or IOException or AisleException)
            {
                if (!toldUnreachable && _options.Time.GetElapsedTime(start) > s_giveUpAfter)
                {
                    toldUnreachable = true;
                    _options.Unreachable(_peer.Id, e.Message);
                }
            }
            lock (_gate)
            {
                if (!_closed) Monitor.Wait(_gate, pause);
            }
            pause = pause * 2 < s_longestPause ? pause * 2 : s_longestPause;
        }
    }

    private Connection Dial()
    {
        EndPoint[] ways = [.. PeerAddress.WaysTo(_peer, _options.Transport)];
        foreach (var way in ways[..^1])
        {
            try
            {
                return Introduce(Connection.Dial(way, _options.Secret));
            }
            catch (Exception e) when (e is SocketException or IOException or AisleException)
            {
                // Nobody there, or somebody else: the peer's port decides.
            }
        }
        return Introduce(Connection.Dial(ways[^1], _options.Secret));
    }

    /// <summary>Says who this is and where its memory can be found, and hears whether the peer has found it.</summary>
    private Connection Introduce(Connection connection)
    {
        try
        {
            connection.Send(FrameKind.PeerHello, new PeerHello(_options.Term, _options.Self, _peer.Id, connection.IsLocal ? _options.Arena?.Offer : null).ToBytes());
            connection.ReceiveWithin(s_answerWithin);
            if (!connection.TryReceive(out var kind, out var body) || kind != FrameKind.PeerReady || body.Length != 1) throw new IOException($"{_peer.Name} closed the connection without an answer.");
            _peerReadsArena = body[0] == 1;
            connection.ReceiveWithin(Timeout.InfiniteTimeSpan);
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private void SendUntilBroken(Connection connection)
    {
        while (true)
        {
            try
            {
                _ = SendQueued(connection, mayWait: true);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return; // still the one who sends
            }
            lock (_gate)
            {
                while (!_leftToThread && !_broken && !_closed) Monitor.Wait(_gate);
                while (_sending && !_leftToThread) Monitor.Wait(_gate); // somebody's pump, which never takes long
                (_sending, _leftToThread) = (true, false);
                if (_broken || _closed) return;
            }
        }
    }

    private void Empty()
    {
        _out.Clear();
        foreach (var parcel in _onTheWay) parcel.Done();
        _onTheWay.Clear();
        _headBytes = 0;
        lock (_gate)
        {
            if (!_closed) _connection = null;
            while (_queue.TryDequeue(out var parcel)) parcel.Done();
        }
    }
}

/// <summary>What all links of a worker share.</summary>
/// <param name="Reset">A connection is there again after one that broke. Called on the link's thread.</param>
/// <param name="Unreachable">The peer has not answered for a while. Called on the link's thread.</param>
internal sealed record PeerLinkOptions(
    long Term, MemberId Self, byte[] Secret, ShardGrid Grid, ExchangeTransport Transport, SharedArena? Arena, TimeProvider Time, Action<MemberId> Reset, Action<MemberId, string> Unreachable);
