using System.Net.Security;
using System.Security.Authentication;

namespace Aisle.Identity.Tests;

/// <summary>Nodes that speak over real sockets, and those that are no nodes.</summary>
public sealed class NodeTlsTests
{
    private static readonly NodeTlsOptions Patient = new() { HandshakeTimeout = TimeSpan.FromSeconds(60) }; // for a busy machine; nothing waits for it to pass

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static NodeTls Tls(Cluster cluster, string node, RefusalLog? refusals = null, ClusterTrust? trust = null, TimeProvider? time = null) =>
        cluster.Tls(node, refusals, trust, time, Patient);

    private static async Task<(NodeStream Caller, NodeStream Called)> MeetAsync(NodeTls caller, NodeTls called)
    {
        var (near, far) = await Loopback.PairAsync();
        var answering = called.WrapAsync(far, isServer: true, cancellationToken: Stop);
        var calling = await caller.WrapAsync(near, isServer: false, cancellationToken: Stop);
        return (calling, await answering);
    }

    /// <summary>What came of it on each side: "in", or the code.</summary>
    private static async Task<(string Caller, string Called)> TryAsync(NodeTls caller, NodeTls called, NodeId? expected = null)
    {
        var (near, far) = await Loopback.PairAsync();
        var answering = OutcomeAsync(called.WrapAsync(far, isServer: true, cancellationToken: Stop));
        var calling = OutcomeAsync(caller.WrapAsync(near, isServer: false, expected, cancellationToken: Stop));
        return (await calling, await answering);
    }

    private static async Task<string> OutcomeAsync(Task<NodeStream> wrapping)
    {
        try
        {
            await using var stream = await wrapping;
            return "in";
        }
        catch (AisleException refused)
        {
            return refused.Code;
        }
    }

    private static async Task EchoAsync(NodeStream from, NodeStream to, byte value)
    {
        await from.WriteAsync(new[] { value }, Stop);
        var got = new byte[1];
        await to.ReadExactlyAsync(got, Stop);
        Assert.Equal(value, got[0]);
    }

    [Fact]
    public async Task Two_nodes_know_each_other_and_speak_both_ways_in_TLS_1_3()
    {
        using var cluster = new Cluster();
        var (caller, called) = await MeetAsync(Tls(cluster, "node-1"), Tls(cluster, "node-2"));
        await using (caller)
        await using (called)
        {
            Assert.Equal(("node-2", "node-1"), (caller.Peer.Node.ToString(), called.Peer.Node.ToString()));
            Assert.Equal(SslProtocols.Tls13, caller.SslProtocol);
            await EchoAsync(caller, called, 7);
            await EchoAsync(called, caller, 8);
        }
    }

    [Fact]
    public async Task An_expired_certificate_is_refused()
    {
        using var cluster = new Cluster();
        var refusals = new RefusalLog();
        var later = ((SteppedTime)cluster.Time).Off(TimeSpan.FromHours(25));
        var stale = Tls(cluster, "node-1");
        using var tomorrow = new Cluster(later);
        var (caller, called) = await TryAsync(stale, Tls(cluster, "node-2", refusals, time: later));
        Assert.Equal("AISLE-8032", called);
        Assert.NotEqual("in", caller);
        Assert.Equal((1, 1), (refusals.Count("AISLE-8032"), refusals.Total));
    }

    [Fact]
    public async Task A_node_of_another_cluster_is_refused_whichever_side_it_is_on()
    {
        using var cluster = new Cluster();
        using var other = new Cluster();
        Assert.Equal("AISLE-8031", (await TryAsync(Tls(cluster, "node-1"), Tls(other, "node-2"))).Caller);
        // One that would believe our node, and is still not believed itself.
        var (near, far) = await Loopback.PairAsync();
        var answering = OutcomeAsync(Tls(cluster, "node-2").WrapAsync(far, isServer: true, cancellationToken: Stop));
        var terms = new HandshakeTerms(cluster.Trust(), false, other.Node("node-1"), Role.Node, null, Patient.HandshakeTimeout, cluster.Time);
        var calling = OutcomeAsync(Handshake.RunAsync(near, terms, Stop));
        Assert.Equal("AISLE-8031", await answering);
        Assert.NotEqual("in", await calling);
    }

    [Fact]
    public async Task A_denied_node_is_refused()
    {
        using var cluster = new Cluster();
        var denied = Tls(cluster, "node-1");
        cluster.Authority.Deny(NodeId.Parse("node-1"));
        Assert.Equal("AISLE-8035", (await TryAsync(denied, Tls(cluster, "node-2", trust: cluster.Authority.Trust))).Called);
        Assert.Equal("AISLE-8035", (await TryAsync(Tls(cluster, "node-3", trust: cluster.Authority.Trust), denied)).Caller);
    }

    [Fact]
    public async Task Work_of_a_tenant_does_not_pass_for_a_node()
    {
        using var cluster = new Cluster();
        var workload = new NodeTls(cluster.Node("trainer", Role.Workload), cluster.Trust(), cluster.Time, new(), Patient);
        Assert.Equal("AISLE-8034", (await TryAsync(workload, Tls(cluster, "node-2"))).Called);
    }

    [Fact]
    public async Task Another_node_than_the_one_called_is_refused()
    {
        using var cluster = new Cluster();
        Assert.Equal("AISLE-8036", (await TryAsync(Tls(cluster, "node-1"), Tls(cluster, "node-2"), NodeId.Parse("node-3"))).Caller);
    }

    [Fact]
    public async Task A_caller_without_a_certificate_is_refused()
    {
        using var cluster = new Cluster();
        var (near, far) = await Loopback.PairAsync();
        var answering = OutcomeAsync(Tls(cluster, "node-2").WrapAsync(far, isServer: true, cancellationToken: Stop));
        var terms = new HandshakeTerms(cluster.Trust(), false, Own: null, Role.Node, null, Patient.HandshakeTimeout, cluster.Time);
        Assert.Equal("AISLE-8040", await OutcomeAsync(Handshake.RunAsync(near, terms, Stop)));
        Assert.Equal("AISLE-8030", await answering);
    }

    [Fact]
    public async Task An_older_TLS_is_refused()
    {
        using var cluster = new Cluster();
        var (near, far) = await Loopback.PairAsync();
        var answering = OutcomeAsync(Tls(cluster, "node-2").WrapAsync(far, isServer: true, cancellationToken: Stop));
        await using var old = new SslStream(near);
        await Assert.ThrowsAnyAsync<Exception>(() => old.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions { TargetHost = "aisle", EnabledSslProtocols = SslProtocols.Tls12, RemoteCertificateValidationCallback = (_, shown, _, _) => shown is not null }, Stop));
        Assert.Equal("AISLE-8037", await answering);
    }

    public static TheoryData<byte[]> Garbage => new(
        "GET / HTTP/1.1\r\nHost: node-2\r\n\r\n"u8.ToArray(), // plain text
        [], // hung up at once
        [22, 3, 1, 0xff, 0xff, .. new byte[70_000]], // a record larger than any
        [22, 3, 1, 2, 0, 1, 0xff, 0xff, 0xff, .. new byte[70_000]], // a hello that claims 16 MiB
        [.. Enumerable.Range(0, 300_000).Select(i => (byte)(i * 7))],
        new byte[1_000_000]);

    [Theory]
    [MemberData(nameof(Garbage))]
    public async Task Garbage_is_refused_and_harmless(byte[] garbage)
    {
        using var cluster = new Cluster();
        var refusals = new RefusalLog();
        var node = Tls(cluster, "node-2", refusals);
        var (caller, called) = await MeetAsync(Tls(cluster, "node-1"), node);
        await using var _ = caller;
        await using var __ = called;

        var (near, far) = await Loopback.PairAsync();
        await using var closing = near;
        var answering = OutcomeAsync(node.WrapAsync(far, isServer: true, cancellationToken: Stop));
        try
        {
            await near.WriteAsync(garbage, Stop);
            near.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
        }
        catch (Exception cut) when (cut is IOException or System.Net.Sockets.SocketException)
        {
            // Cut off in the middle of it.
        }
        Assert.Equal("AISLE-8037", await answering);
        Assert.Equal(1, refusals.Total);
        await EchoAsync(caller, called, 9); // those who belong notice nothing
    }

    [Fact]
    public async Task A_damaged_hello_is_refused_and_nothing_worse()
    {
        using var cluster = new Cluster();
        var node = Tls(cluster, "node-2");
        var hello = await HelloAsync(cluster);
        for (var seed = 0; seed < 60; seed++)
        {
            var (near, far) = await Loopback.PairAsync();
            await using var closing = near;
            var answering = OutcomeAsync(node.WrapAsync(far, isServer: true, cancellationToken: Stop));
            await near.WriteAsync(Corruption.Of(hello, new Random(seed)), Stop);
            near.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
            Assert.True(await answering is "AISLE-8037" or "AISLE-8030", $"seed {seed}");
        }
    }

    /// <summary>The first flight of a true node's handshake.</summary>
    private static async Task<byte[]> HelloAsync(Cluster cluster)
    {
        var (near, far) = await Loopback.PairAsync();
        await using var closing = far;
        var calling = OutcomeAsync(Tls(cluster, "node-1").WrapAsync(near, isServer: false, cancellationToken: Stop));
        var head = new byte[5];
        await far.ReadExactlyAsync(head, Stop);
        var body = new byte[head[3] << 8 | head[4]];
        await far.ReadExactlyAsync(body, Stop);
        await far.DisposeAsync();
        Assert.Equal("AISLE-8037", await calling);
        return [.. head, .. body];
    }

    [Theory]
    [InlineData(false)] // half open: says nothing at all
    [InlineData(true)] // slow: a true hello, but a byte at a time
    public async Task A_handshake_that_takes_too_long_is_cut(bool drips)
    {
        using var cluster = new Cluster();
        var hello = await HelloAsync(cluster);
        var refusals = new RefusalLog();
        var hasty = cluster.Tls("node-2", refusals, options: new() { HandshakeTimeout = TimeSpan.FromMilliseconds(200) });
        var (near, far) = await Loopback.PairAsync();
        await using var closing = near;
        var answering = OutcomeAsync(hasty.WrapAsync(far, isServer: true, cancellationToken: Stop));
        try
        {
            for (var i = 0; drips && i < hello.Length - 1 && !answering.IsCompleted; i++)
            {
                await near.WriteAsync(hello.AsMemory(i, 1), Stop);
                await Task.WhenAny(answering, Task.Delay(10, Stop));
            }
        }
        catch (IOException)
        {
            // Cut off, as it should be.
        }
        Assert.Equal("AISLE-8038", await answering);
        Assert.Equal(1, refusals.Count("AISLE-8038"));
    }

    [Fact]
    public async Task A_crowd_of_half_open_connections_is_bounded_and_passes()
    {
        using var cluster = new Cluster();
        var node = cluster.Tls("node-2", options: Patient with { MaxHandshakes = 3 });
        var crowd = new List<(Stream Near, Task<string> Outcome)>();
        for (var i = 0; i < 3; i++)
        {
            var (near, far) = await Loopback.PairAsync();
            crowd.Add((near, OutcomeAsync(node.WrapAsync(far, isServer: true, cancellationToken: Stop))));
        }
        Assert.Equal("AISLE-8039", (await TryAsync(Tls(cluster, "node-1"), node)).Called);
        foreach (var (near, outcome) in crowd)
        {
            await near.DisposeAsync();
            Assert.Equal("AISLE-8037", await outcome);
        }
        Assert.Equal(("in", "in"), await TryAsync(Tls(cluster, "node-1"), node));
    }

    [Fact]
    public async Task A_renewal_disturbs_no_connection_and_new_ones_use_it()
    {
        var time = SteppedTime.Start();
        using var cluster = new Cluster(time);
        var (first, second) = (Tls(cluster, "node-1"), Tls(cluster, "node-2"));
        var (caller, called) = await MeetAsync(first, second);
        await using var _ = caller;
        await using var __ = called;
        await EchoAsync(caller, called, 1);

        time.Advance(TimeSpan.FromHours(23));
        first.Use(cluster.Node("node-1"));
        second.Use(cluster.Node("node-2"));
        time.Advance(TimeSpan.FromHours(2)); // the first certificates are over
        await EchoAsync(caller, called, 2);
        var (newCaller, newCalled) = await MeetAsync(first, second);
        await using (newCaller)
        await using (newCalled)
        {
            await EchoAsync(newCalled, newCaller, 3);
            Assert.Equal(first.Own.Certificate.SerialNumber, newCalled.RemoteCertificate!.GetSerialNumberString());
        }
        Assert.Throws<ArgumentException>(() => first.Use(cluster.Node("node-3")));
    }

    [Fact]
    public async Task A_denial_cuts_the_denied_nodes_connections_and_no_others()
    {
        using var cluster = new Cluster();
        var hub = Tls(cluster, "node-1");
        var (good, goodFar) = await MeetAsync(Tls(cluster, "node-2"), hub);
        var (bad, badFar) = await MeetAsync(Tls(cluster, "node-3"), hub);
        await using var _ = good;
        await using var __ = goodFar;
        await using var ___ = bad;
        var reading = badFar.ReadAsync(new byte[1], Stop).AsTask();
        Assert.Equal(2, hub.Live);

        cluster.Authority.Deny(NodeId.Parse("node-3"));
        Assert.True(hub.Trust.Accept(cluster.Authority.SignedDenyList()));
        var cut = await Assert.ThrowsAnyAsync<Exception>(() => reading);
        Assert.True(cut is IOException or ObjectDisposedException, cut.ToString());
        await badFar.DisposeAsync();
        await EchoAsync(good, goodFar, 4);
        Assert.Equal(1, hub.Live);
    }

    [Fact]
    public async Task A_handshake_can_be_stopped()
    {
        using var cluster = new Cluster();
        var (near, far) = await Loopback.PairAsync();
        await using var silent = near;
        using var stop = new CancellationTokenSource();
        var answering = Tls(cluster, "node-2").WrapAsync(far, isServer: true, cancellationToken: stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answering);
    }

    [Fact]
    public async Task Many_megabytes_arrive_as_they_were_sent()
    {
        using var cluster = new Cluster();
        var (caller, called) = await MeetAsync(Tls(cluster, "node-1"), Tls(cluster, "node-2"));
        await using var _ = caller;
        await using var __ = called;
        var sent = new byte[8 << 20];
        new Random(1).NextBytes(sent);
        var sending = caller.WriteAsync(sent, Stop).AsTask();
        var got = new byte[sent.Length];
        await called.ReadExactlyAsync(got, Stop);
        await sending;
        Assert.Equal(Artifacts.Digest.Of(sent), Artifacts.Digest.Of(got));
    }
}
