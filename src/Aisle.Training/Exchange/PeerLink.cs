using System.Net;
using System.Net.Sockets;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>Something to send whose bytes are made when its turn comes. Releases what it holds in <see cref="Done"/>, sent or not.</summary>
internal readonly record struct Parcel(ParcelKind Kind, long Step, int Shard, ShardNote Note, UnitSum? Unit, SharedBuffer<float>? Values, (double, double) Powers)
{
    public void Done()
    {
        Unit?.Sum.Release();
        Values?.Release();
    }
}

internal enum ParcelKind
{
    Contribution,
    Reduced,
    State,
}

/// <summary>
/// This worker's way to one peer: a connection, a thread and a queue. What is queued is packed and sent in order. When the connection
/// breaks, the queue is emptied and, once there is a connection again, <c>reset</c> is called: it queues everything that the peer may lack.
/// </summary>
internal sealed class PeerLink : IDisposable
{
    private const int AimedSendBytes = 256 << 10; // small frames travel together: a send and a wake-up cost more than their bytes
    private static readonly TimeSpan s_longestPause = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_giveUpAfter = TimeSpan.FromSeconds(2);
    private readonly Member _peer;
    private readonly MemberId _self;
    private readonly byte[] _secret;
    private readonly ShardGrid _grid;
    private readonly PeerLinkEvents _events;
    private readonly TimeProvider _time;
    private readonly Thread _thread;
    private readonly byte[] _frame;
    private readonly object _gate = new(); // guards what follows; a plain object, because its holders wait for each other's changes
    private readonly Queue<Parcel> _queue = new(); // bounded by the protocol: each shard of two steps once, and a state
    private Connection? _connection;
    private bool _broken;
    private bool _closed;
    private int _filled; // bytes of _frame that wait to be sent; the link's thread alone

    public PeerLink(MemberId self, Member peer, ReadOnlySpan<byte> secret, ShardGrid grid, PeerLinkEvents events, TimeProvider time)
    {
        (_self, _peer, _grid, _events, _time) = (self, peer, grid, events, time);
        _secret = secret.ToArray();
        _frame = new byte[AimedSendBytes + Frame.HeaderBytes + Math.Max(StateFrame.MaxBodyBytes, ContributionFrame.MaxBodyBytes(grid.ShardElements))];
        _thread = new Thread(Run) { IsBackground = true, Name = $"to {peer.Name}" };
        _thread.Start();
    }

    public void Send(Parcel parcel)
    {
        lock (_gate)
        {
            if (!_closed)
            {
                _queue.Enqueue(parcel);
                Monitor.PulseAll(_gate);
                return;
            }
        }
        parcel.Done();
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
                if (!isFirst) _events.Reset(_peer.Id);
                isFirst = false;
                SendUntilBroken(connection);
                connection.Dispose();
                Empty();
            }
        }
        finally
        {
            Empty();
        }
    }

    private Connection? Connect()
    {
        var pause = TimeSpan.FromMilliseconds(10);
        var start = _time.GetTimestamp();
        var toldUnreachable = false;
        while (true)
        {
            lock (_gate)
            {
                if (_closed) return null;
            }
            try
            {
                var connection = Connection.Dial(new DnsEndPoint(_peer.Host, _peer.Port), _secret);
                connection.Send(FrameKind.PeerHello, BitConverter.GetBytes(_self.Value));
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
                if (!toldUnreachable && _time.GetElapsedTime(start) > s_giveUpAfter)
                {
                    toldUnreachable = true;
                    _events.Unreachable(_peer.Id, e.Message);
                }
            }
            lock (_gate)
            {
                if (!_closed) Monitor.Wait(_gate, pause);
            }
            pause = pause * 2 < s_longestPause ? pause * 2 : s_longestPause;
        }
    }

    private void SendUntilBroken(Connection connection)
    {
        _filled = 0;
        try
        {
            while (Next(connection) is { } parcel)
            {
                try
                {
                    Write(connection, parcel);
                }
                finally
                {
                    parcel.Done();
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The caller connects again.
        }
    }

    /// <summary>The next parcel; what has been written goes out before this waits for one. Null when the connection is of no more use.</summary>
    private Parcel? Next(Connection connection)
    {
        lock (_gate)
        {
            if (_broken || _closed) return null;
            if (_queue.TryDequeue(out var parcel)) return parcel;
        }
        Flush(connection);
        lock (_gate)
        {
            while (_queue.Count == 0 && !_broken && !_closed) Monitor.Wait(_gate);
            return _broken || _closed ? null : _queue.Dequeue();
        }
    }

    private void Write(Connection connection, Parcel parcel)
    {
        var (offset, length) = parcel.Kind == ParcelKind.State ? default : (_grid.Offset(parcel.Shard), _grid.Length(parcel.Shard));
        switch (parcel.Kind)
        {
            case ParcelKind.Contribution:
                var unit = parcel.Unit!;
                Finish(FrameKind.Contribution, ContributionFrame.Write(Body(), parcel.Step, parcel.Shard, unit.Note, unit.Slices, unit.Sum.Span.Slice(offset, length)));
                break;
            case ParcelKind.Reduced:
                Finish(FrameKind.Reduced, ReducedFrame.Write(Body(), parcel.Step, parcel.Shard, parcel.Note, parcel.Values!.Span.Slice(offset, length)));
                break;
            case ParcelKind.State:
                var state = parcel.Values!.Span;
                for (var start = 0; start < state.Length; start += StateFrame.MaxElements)
                {
                    var piece = state.Slice(start, Math.Min(StateFrame.MaxElements, state.Length - start));
                    Finish(FrameKind.State, StateFrame.Write(Body(), parcel.Step, start, parcel.Powers, piece));
                }
                break;
        }

        Span<byte> Body() => _frame.AsSpan(_filled + Frame.HeaderBytes);

        void Finish(FrameKind kind, int bodyBytes)
        {
            Frame.Seal(_frame.AsSpan(_filled, Frame.HeaderBytes + bodyBytes), kind);
            _filled += Frame.HeaderBytes + bodyBytes;
            if (_filled >= AimedSendBytes) Flush(connection);
        }
    }

    private void Flush(Connection connection)
    {
        if (_filled > 0) connection.SendSealed(_frame.AsSpan(0, _filled));
        _filled = 0;
    }

    private void Empty()
    {
        lock (_gate)
        {
            while (_queue.TryDequeue(out var parcel)) parcel.Done();
        }
    }
}

/// <summary>What a link tells its owner. Called on the link's thread.</summary>
internal sealed record PeerLinkEvents(Action<MemberId> Reset, Action<MemberId, string> Unreachable);
