using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Transport;

/// <summary>
/// Members that reach each other by TCP. Each dials the others, with one connection for control and one for snapshots, and speaks on those; it listens on what it
/// accepted. Whoever cannot show that it is a member is refused, counted, and costs nothing but that. Safe to call from many threads.
/// </summary>
internal sealed class TcpPeers : IPeers
{
    private const int MostStrangers = 64;   // connections that have not said yet who they are; more are closed at once
    private const int MostOfOnePeer = 8;

    private readonly LedgerIdentity _self;
    private readonly byte[] _cluster;
    private readonly TcpPeersOptions _options;
    private readonly TimeProvider _time;
    private readonly Socket _listening;
    private readonly CancellationTokenSource _ending = new();
    private readonly ConcurrentDictionary<(MemberId Peer, Lane Lane), PeerLine> _lines = [];
    private readonly ConcurrentDictionary<Task, bool> _reading = [];
    private readonly ConcurrentDictionary<MemberId, int> _open = [];
    private Task _accepting = Task.CompletedTask;
    private int _strangers;
    private long _refused;

    /// <exception cref="AisleException">AISLE-2056: the port cannot be listened on.</exception>
    public TcpPeers(LedgerIdentity self, TcpPeersOptions options, TimeProvider time)
    {
        (_self, _cluster, _options, _time) = (self, Convert.FromHexString(self.Cluster), options, time);
        _listening = new Socket(options.Listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _listening.Bind(options.Listen);
            _listening.Listen(MostStrangers);
        }
        catch (SocketException e)
        {
            _listening.Dispose();
            throw new AisleException(LedgerCodes.DirectoryUnusable, $"Member {self.Member} cannot listen on {options.Listen}: {e.Message}", "Give it another address or port.", e);
        }
    }

    public IPEndPoint Listens => (IPEndPoint)_listening.LocalEndPoint!;

    /// <summary>Connections that were refused.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    public void Start(IPeerListener listener)
    {
        foreach (var (id, address) in _options.Addresses)
        {
            var peer = new MemberId(id);
            if (peer == _self.Member) continue;
            foreach (var lane in (ReadOnlySpan<Lane>)[Lane.Control, Lane.Bulk]) _lines[(peer, lane)] = new PeerLine(_self, peer, address, lane, _options, _time, listener.Lost);
        }
        _accepting = Task.Run(() => AcceptAsync(listener));
    }

    public void Send(Message message)
    {
        if (_lines.TryGetValue((message.To, message is SnapshotChunk ? Lane.Bulk : Lane.Control), out var line)) line.Send(message);
    }

    public static void KeepAlive(Socket socket)
    {
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 10);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 2);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 5);
    }

    public static async Task<Stream> WrapAsync(Socket socket, bool accepted, TcpPeersOptions options)
    {
        var stream = new NetworkStream(socket, ownsSocket: true);
        return options.Wrap is null ? stream : await options.Wrap(stream, accepted).ConfigureAwait(false);
    }

    private async Task AcceptAsync(IPeerListener listener)
    {
        while (!_ending.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await _listening.AcceptAsync(_ending.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), _time, _ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);   // no descriptors left, for one
                continue;
            }
            if (Interlocked.Increment(ref _strangers) > MostStrangers)
            {
                Interlocked.Decrement(ref _strangers);
                socket.Dispose();
                Note(PeerFrame.Refused($"{MostStrangers} connections have not said yet who they are"));
                continue;
            }
            var reading = Task.Run(() => ReadAsync(socket, listener));
            _reading[reading] = true;
            _ = reading.ContinueWith(done => _reading.TryRemove(done, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    private async Task ReadAsync(Socket socket, IPeerListener listener)
    {
        var (known, from) = (false, MemberId.Nobody);
        try
        {
            using (socket)
            {
                socket.NoDelay = true;
                KeepAlive(socket);
                using var patience = new CancellationTokenSource(_options.Patience, _time);
                using var ending = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token, patience.Token);
                await using var stream = await WrapAsync(socket, true, _options).WaitAsync(ending.Token).ConfigureAwait(false);
                (from, _) = await PeerHandshake.AcceptAsync(stream, _options.Secret, _cluster, _self.Member, ending.Token).ConfigureAwait(false);
                Interlocked.Decrement(ref _strangers);
                known = true;
                if (_open.AddOrUpdate(from, 1, (_, count) => count + 1) > MostOfOnePeer) throw PeerFrame.Refused($"{from} has {MostOfOnePeer} connections");
                var header = new byte[PeerFrame.HeaderBytes];
                while (true)
                {
                    patience.CancelAfter(Timeout.InfiniteTimeSpan);   // between frames there is no hurry
                    if (await PeerFrame.ReadAsync(stream, header, _cluster, from, _self.Member, () => patience.CancelAfter(_options.Patience), ending.Token).ConfigureAwait(false) is not { } message) return;
                    patience.CancelAfter(Timeout.InfiniteTimeSpan);
                    await listener.ReceiveAsync(message, _ending.Token).ConfigureAwait(false);
                }
            }
        }
        catch (AisleException refused)
        {
            Note(refused);
        }
        catch (OperationCanceledException)
        {
            if (!_ending.IsCancellationRequested) Note(PeerFrame.Refused("it took too long"));
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or System.Security.Authentication.AuthenticationException)
        {
            if (!known) Note(PeerFrame.Refused($"it ended before it said who it is: {e.Message}"));
        }
        finally
        {
            if (!known) Interlocked.Decrement(ref _strangers);
            if (from != MemberId.Nobody) _open.AddOrUpdate(from, 0, (_, count) => count - 1);
        }
    }

    private void Note(AisleException refused)
    {
        Interlocked.Increment(ref _refused);
        _options.Refused?.Invoke(refused);
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync().ConfigureAwait(false);
        _listening.Dispose();
        await _accepting.ConfigureAwait(false);
        foreach (var line in _lines.Values) await line.DisposeAsync().ConfigureAwait(false);
        await Task.WhenAll(_reading.Keys).ConfigureAwait(false);
        _ending.Dispose();
    }
}
