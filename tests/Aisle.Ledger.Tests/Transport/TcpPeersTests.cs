using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;
using Aisle.Ledger.Transport;

namespace Aisle.Ledger.Tests.Transport;

/// <summary>The ledger's port, and what may come to it.</summary>
public sealed class TcpPeersTests : IAsyncLifetime
{
    private static readonly byte[] Secret = "what only members know"u8.ToArray();
    private static readonly string Cluster = new('a', 32);
    private static readonly MemberId One = new(1), Two = new(2);

    private readonly Heard _heard = new();
    private TcpPeers _peers = null!;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        _peers = Open(Two, TimeSpan.FromSeconds(30));
        _peers.Start(_heard);
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => _peers.DisposeAsync();

    [Fact]
    public async Task Messages_come_as_they_were_sent_on_both_lanes()
    {
        await using var sender = Open(One, TimeSpan.FromSeconds(30), (2, _peers.Listens));
        sender.Start(new Heard());
        var payload = new byte[3 << 20];
        new Random(1).NextBytes(payload);
        Message[] messages =
        [
            new VoteRequest(One, Two, 7, 1, new LogPosition(6, 40), Ballot.PreVote),
            new Append(One, Two, 7, 1, 2, new LogPosition(6, 40), [new Entry(7, 41, EntryKind.Commands, payload)], 40),
            new SnapshotChunk(One, Two, 7, 1, new LogPosition(6, 30), Membership.Of(1, 2), 0, payload.Length, payload),
        ];
        var heard = new List<Message>();
        while (heard.Count < messages.Length)
        {
            // What is sent before there is a connection is lost, as it may be.
            foreach (var message in messages.Where(message => !heard.Exists(other => other.GetType() == message.GetType()))) sender.Send(message);
            while (await _heard.NextAsync(TimeSpan.FromMilliseconds(300)) is { } message) if (!heard.Exists(other => other.GetType() == message.GetType())) heard.Add(message);
        }
        Assert.Equal(messages[0], heard.OfType<VoteRequest>().Single());
        Assert.Equal(payload, heard.OfType<Append>().Single().Entries.Single().Payload.ToArray());
        Assert.Equal(payload, heard.OfType<SnapshotChunk>().Single().Data.ToArray());
        Assert.Equal(0, _peers.Refused);
    }

    [Fact]
    public async Task Whoever_does_not_know_the_secret_or_is_of_another_cluster_is_refused()
    {
        await RefusedAsync(stream => PeerHandshake.DialAsync(stream, "what strangers think of"u8.ToArray(), Convert.FromHexString(Cluster), One, Two, Lane.Control, Ct), closesItself: true);
        await RefusedAsync(stream => PeerHandshake.DialAsync(stream, Secret, Convert.FromHexString(new string('b', 32)), One, Two, Lane.Control, Ct));
        await RefusedAsync(stream => PeerHandshake.DialAsync(stream, Secret, Convert.FromHexString(Cluster), One, new MemberId(3), Lane.Control, Ct));
        await RefusedAsync(stream => PeerHandshake.DialAsync(stream, Secret, Convert.FromHexString(Cluster), Two, Two, Lane.Control, Ct));
        await RefusedAsync(stream => stream.WriteAsync("GET / HTTP/1.1\r\nHost: ledger\r\nUser-Agent: a browser that found the port by chance, and says more\r\n\r\n"u8.ToArray(), Ct).AsTask());
        await StillServesAsync();
    }

    [Fact]
    public async Task An_answer_that_was_heard_before_proves_nothing()
    {
        // Everything that a member says is written down, and said again.
        using var ear = new TcpListener(IPAddress.Loopback, 0);
        ear.Start();
        byte[] hello = new byte[PeerHandshake.HelloBytes], proof = new byte[32];
        await using (var member = Open(One, TimeSpan.FromSeconds(30), (2, (IPEndPoint)ear.LocalEndpoint)))
        {
            member.Start(new Heard());
            using var caught = await ear.AcceptTcpClientAsync(Ct);
            await caught.GetStream().ReadExactlyAsync(hello, Ct);
            using var real = await DialAsync();
            await real.GetStream().WriteAsync(hello, Ct);
            var answer = new byte[64];
            await real.GetStream().ReadExactlyAsync(answer, Ct);
            await caught.GetStream().WriteAsync(answer, Ct);
            await caught.GetStream().ReadExactlyAsync(proof, Ct);
        }
        await RefusedAsync(async stream =>
        {
            await stream.WriteAsync(hello, Ct);
            await stream.ReadExactlyAsync(new byte[64], Ct);
            await stream.WriteAsync(proof, Ct);
        }, alreadyRefused: 1);   // the real one, whose dialler left in the middle
        await StillServesAsync();
    }

    [Theory]
    [InlineData("length")]
    [InlineData("negative")]
    [InlineData("checksum")]
    [InlineData("cluster")]
    [InlineData("from")]
    [InlineData("content")]
    public async Task A_frame_that_is_none_ends_its_connection_and_nothing_else(string wrong)
    {
        await RefusedAsync(async stream =>
        {
            await PeerHandshake.DialAsync(stream, Secret, Convert.FromHexString(Cluster), One, Two, Lane.Control, Ct);
            var frame = Frame(wrong == "from" ? new MemberId(9) : One, wrong == "cluster" ? new string('b', 32) : Cluster);
            if (wrong == "length") BitConverter.TryWriteBytes(frame, PeerFrame.MaxMessageBytes + 1);
            if (wrong == "negative") BitConverter.TryWriteBytes(frame, -1);
            if (wrong == "checksum") frame[5] ^= 1;
            if (wrong == "content") frame[^1] ^= 1;
            await stream.WriteAsync(frame, Ct);
        });
        await StillServesAsync();
    }

    [Fact]
    public async Task Random_damage_to_frames_is_refused_or_harmless()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var bytes = Corruption.Of([.. Frame(One, Cluster), .. Frame(One, Cluster)], new Random(seed));
            using var stream = new MemoryStream(bytes);
            try
            {
                while (await PeerFrame.ReadAsync(stream, new byte[PeerFrame.HeaderBytes], Convert.FromHexString(Cluster), One, Two, null, Ct) is not null)
                {
                }
            }
            catch (Exception e) when (e is AisleException or EndOfStreamException)
            {
                // Refused, or cut short.
            }
        }
    }

    [Fact]
    public async Task Slow_and_silent_connections_end_by_themselves_and_hold_up_nobody()
    {
        await using var hasty = Open(Two, TimeSpan.FromMilliseconds(300));
        hasty.Start(_heard);
        using var silent = await DialAsync(hasty);
        using var half = await DialAsync(hasty);
        await half.GetStream().WriteAsync("AISLELGR"u8.ToArray(), Ct);
        using var stuck = await DialAsync(hasty);
        await PeerHandshake.DialAsync(stuck.GetStream(), Secret, Convert.FromHexString(Cluster), One, Two, Lane.Control, Ct);
        await stuck.GetStream().WriteAsync(Frame(One, Cluster).AsMemory()[..^1], Ct);
        await StillServesAsync(hasty);
        foreach (var connection in new[] { silent, half, stuck }) await EndsAsync(connection.GetStream());
        await UntilAsync(() => hasty.Refused >= 3);
    }

    [Fact]
    public async Task Many_connections_that_say_nothing_do_not_keep_a_member_out_for_longer_than_its_patience()
    {
        await using var hasty = Open(Two, TimeSpan.FromMilliseconds(500));
        hasty.Start(_heard);
        var strangers = new List<TcpClient>();
        for (var i = 0; i < 100; i++) strangers.Add(await DialAsync(hasty));
        await UntilAsync(() => hasty.Refused >= 100);
        await StillServesAsync(hasty);
        foreach (var stranger in strangers) stranger.Dispose();
    }

    private static TcpPeers Open(MemberId self, TimeSpan patience, params (ulong Member, IPEndPoint Address)[] others) => new(new LedgerIdentity(Cluster, self), new TcpPeersOptions
    {
        Listen = new IPEndPoint(IPAddress.Loopback, 0),
        Addresses = others.ToDictionary(other => other.Member, other => other.Address),
        Secret = Secret,
        Patience = patience,
    }, TimeProvider.System);

    private static byte[] Frame(MemberId from, string cluster)
    {
        var bytes = new ArrayBufferWriter<byte>();
        PeerFrame.Write(new VoteRequest(from, Two, 7, 1, new LogPosition(6, 40), Ballot.PreVote), Convert.FromHexString(cluster), bytes);
        return bytes.WrittenSpan.ToArray();
    }

    private async Task<TcpClient> DialAsync(TcpPeers? peers = null)
    {
        var client = new TcpClient();
        await client.ConnectAsync((peers ?? _peers).Listens, Ct);
        return client;
    }

    private async Task RefusedAsync(Func<NetworkStream, Task> attack, bool closesItself = false, int alreadyRefused = 0)
    {
        await UntilAsync(() => _peers.Refused >= alreadyRefused);
        var before = _peers.Refused;
        using var client = await DialAsync();
        try
        {
            await attack(client.GetStream());
        }
        catch (Exception e) when (e is IOException or AisleException)
        {
            // This end has noticed it too.
        }
        if (closesItself) client.Close();
        else await EndsAsync(client.GetStream());
        await UntilAsync(() => _peers.Refused > before);
        Assert.Null(await _heard.NextAsync(TimeSpan.Zero));
    }

    private static async Task EndsAsync(NetworkStream stream)
    {
        try
        {
            while (await stream.ReadAsync(new byte[256], Ct) > 0)
            {
            }
        }
        catch (IOException)
        {
            // Reset: ended as well.
        }
    }

    private async Task StillServesAsync(TcpPeers? peers = null)
    {
        await using var sender = Open(One, TimeSpan.FromSeconds(30), (2, (peers ?? _peers).Listens));
        sender.Start(new Heard());
        var message = new VoteRequest(One, Two, 8, 1, new LogPosition(6, 40), Ballot.PreVote);
        Message? heard;
        do sender.Send(message);
        while ((heard = await _heard.NextAsync(TimeSpan.FromMilliseconds(20))) is null);
        Assert.Equal(message, heard);
    }

    private static async Task UntilAsync(Func<bool> holds)
    {
        while (!holds()) await Task.Delay(5, Ct);
    }

    private sealed class Heard : IPeerListener
    {
        private readonly Channel<Message> _messages = Channel.CreateUnbounded<Message>();

        public ValueTask ReceiveAsync(Message message, CancellationToken cancellationToken) => _messages.Writer.WriteAsync(message, cancellationToken);

        public void Lost(MemberId peer)
        {
        }

        public async Task<Message?> NextAsync(TimeSpan within)
        {
            using var waiting = CancellationTokenSource.CreateLinkedTokenSource(Ct);
            waiting.CancelAfter(within);
            try
            {
                return _messages.Reader.TryRead(out var message) ? message : await _messages.Reader.ReadAsync(waiting.Token);
            }
            catch (OperationCanceledException) when (!Ct.IsCancellationRequested)
            {
                return null;
            }
        }
    }
}
