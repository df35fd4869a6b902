using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Transport;

/// <summary>One lane to one peer: a queue, and a connection that is made again whenever it broke. What waits when it breaks is dropped.</summary>
internal sealed class PeerLine : IAsyncDisposable
{
    private const int WriteBytes = 256 << 10;
    private static readonly TimeSpan LeastPause = TimeSpan.FromMilliseconds(20), MostPause = TimeSpan.FromMilliseconds(320);

    private readonly Channel<Message> _queue;
    private readonly CancellationTokenSource _ending = new();
    private readonly LedgerIdentity _self;
    private readonly byte[] _cluster;
    private readonly MemberId _peer;
    private readonly IPEndPoint _address;
    private readonly Lane _lane;
    private readonly TcpPeersOptions _options;
    private readonly TimeProvider _time;
    private readonly Task _running;

    public PeerLine(LedgerIdentity self, MemberId peer, IPEndPoint address, Lane lane, TcpPeersOptions options, TimeProvider time, Action<MemberId> lost)
    {
        (_self, _cluster, _peer, _address, _lane, _options, _time) = (self, Convert.FromHexString(self.Cluster), peer, address, lane, options, time);
        _queue = Channel.CreateBounded<Message>(new BoundedChannelOptions(lane == Lane.Control ? 1024 : 16) { SingleReader = true });   // full: the newest is dropped
        _running = Task.Run(() => RunAsync(lost));
    }

    public void Send(Message message) => _queue.Writer.TryWrite(message);

    private async Task RunAsync(Action<MemberId> lost)
    {
        var pause = LeastPause;
        while (!_ending.IsCancellationRequested)
        {
            var spoke = false;
            try
            {
                await SpeakAsync(() => spoke = true).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or AisleException or System.Security.Authentication.AuthenticationException)
            {
                if (e is AisleException refused) _options.Refused?.Invoke(refused);
            }
            if (_ending.IsCancellationRequested) return;
            while (_queue.Reader.TryRead(out _))
            {
            }
            if (spoke) lost(_peer);
            pause = spoke ? LeastPause : pause < MostPause ? pause * 2 : MostPause;
            await Task.Delay(pause, _time, _ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task SpeakAsync(Action connected)
    {
        using var socket = new Socket(_address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
        using var patience = new CancellationTokenSource(_options.Patience, _time);
        using var opening = CancellationTokenSource.CreateLinkedTokenSource(ending.Token, patience.Token);
        await socket.ConnectAsync(_address, opening.Token).ConfigureAwait(false);
        TcpPeers.KeepAlive(socket);
        await using var stream = await TcpPeers.WrapAsync(socket, false, _options).WaitAsync(opening.Token).ConfigureAwait(false);
        await PeerHandshake.DialAsync(stream, _options.Secret, _cluster, _self.Member, _peer, _lane, opening.Token).ConfigureAwait(false);
        connected();
        // The other end never says anything more: when this read ends, the connection has.
        var closed = ReadToEndAsync(stream, ending);
        try
        {
            var buffer = new ArrayBufferWriter<byte>(WriteBytes);
            while (await _queue.Reader.WaitToReadAsync(ending.Token).ConfigureAwait(false))
            {
                while (buffer.WrittenCount < WriteBytes && _queue.Reader.TryRead(out var message)) PeerFrame.Write(message, _cluster, buffer);
                await stream.WriteAsync(buffer.WrittenMemory, ending.Token).ConfigureAwait(false);
                await stream.FlushAsync(ending.Token).ConfigureAwait(false);
                if (buffer.Capacity > 8 * WriteBytes) buffer = new ArrayBufferWriter<byte>(WriteBytes);
                else buffer.ResetWrittenCount();
            }
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
            await closed.ConfigureAwait(false);
        }
    }

    private static async Task ReadToEndAsync(Stream stream, CancellationTokenSource ending)
    {
        try
        {
            await stream.ReadAsync(new byte[1], ending.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Ended, however.
        }
        await ending.CancelAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _ending.Dispose();
    }
}
