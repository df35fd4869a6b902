using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Aisle.Identity.Tests;

/// <summary>Machines that join over real sockets, and what stands in between.</summary>
public sealed class JoiningTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60); // for a busy machine; nothing here waits for it to pass
    private static readonly NodeId Node2 = NodeId.Parse("node-2");

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static async Task<Membership> JoinAsync(Serving serving, TimeProvider time, JoinToken token, string node = "node-2") =>
        await new AuthorityClient(time, Patience).JoinAsync(await serving.ConnectAsync(), token, NodeId.Parse(node), ["127.0.0.1"], Stop);

    private static async Task<string> CodeAsync(Func<Task> doing) => (await Assert.ThrowsAsync<AisleException>(doing)).Code;

    [Fact]
    public async Task A_machine_with_a_token_becomes_a_node_of_the_cluster()
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster);
        var member = await JoinAsync(serving, cluster.Time, JoinToken.Parse(cluster.Authority.CreateToken().Reveal()));
        Assert.Equal(new PeerIdentity(cluster.Authority.Cluster, Role.Node, Node2), member.Credential.Identity);
        Assert.Equal(cluster.Authority.Cluster, member.Trust.Cluster);
        Assert.Null(cluster.Trust().Check(member.Credential.Certificate, Role.Node, Node2, cluster.Time.GetUtcNow(), out _));
        Assert.Equal(0, serving.Refusals.Total);
    }

    [Fact]
    public async Task Replayed_reused_expired_and_forged_tokens_are_each_refused_with_their_own_code_and_told()
    {
        var time = SteppedTime.Start();
        using var cluster = new Cluster(time);
        await using var serving = new Serving(cluster);
        var (used, stale, guessed) = (cluster.Authority.CreateToken(), cluster.Authority.CreateToken(TimeSpan.FromMinutes(1)), cluster.Authority.CreateToken());
        await JoinAsync(serving, time, used);
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal("AISLE-8013", await CodeAsync(() => JoinAsync(serving, time, used, "node-3")));
        Assert.Equal("AISLE-8012", await CodeAsync(() => JoinAsync(serving, time, stale)));
        Assert.Equal("AISLE-8010", await CodeAsync(() => JoinAsync(serving, time, JoinToken.Create(cluster.Authority.Fingerprint))));
        var forged = JoinToken.Parse($"AISLE1{guessed.Authority.Hex}.{guessed.Id}.{new string('a', 64)}");
        Assert.Equal("AISLE-8011", await CodeAsync(() => JoinAsync(serving, time, forged)));

        // The same message again, as one who could record it would send it.
        var question = new JoinQuestion(guessed.Id, guessed.Secret, "node", "node-4", Cluster.Request(out _), []);
        Assert.Null((await AskAsync(serving, cluster, question)).Refusal);
        Assert.Equal("AISLE-8014", (await AskAsync(serving, cluster, question)).Refusal?.Code);

        Assert.Equal(["AISLE-8010", "AISLE-8011", "AISLE-8012", "AISLE-8013", "AISLE-8014"], serving.Told.Select(refusal => refusal.Code).Order());
        foreach (var secret in (string[])[used.Secret, stale.Secret, guessed.Secret]) Assert.DoesNotContain(serving.Told, refusal => (refusal.What + refusal.Next).Contains(secret, StringComparison.Ordinal));
    }

    private static async Task<AuthorityAnswer> AskAsync(Serving serving, Cluster cluster, JoinQuestion question)
    {
        await using var secure = await BeginJoinAsync(serving, cluster);
        await AuthorityWire.WriteAsync(secure, question, IdentityJson.Default.JoinQuestion, Stop);
        return await AuthorityWire.ReadAsync(secure, AuthorityWire.MaxAnswerBytes, IdentityJson.Default.AuthorityAnswer, Stop);
    }

    /// <summary>Up to the hello, as a joining machine goes.</summary>
    private static async Task<NodeStream> BeginJoinAsync(Serving serving, Cluster cluster)
    {
        var stream = await serving.ConnectAsync();
        await stream.WriteAsync(AuthorityWire.Join.ToArray(), Stop);
        var head = new byte[2];
        await stream.ReadExactlyAsync(head, Stop);
        await stream.ReadExactlyAsync(new byte[head[0] << 8 | head[1]], Stop);
        var secure = await Handshake.RunAsync(stream, new(cluster.Trust(), false, null, Role.Authority, null, Patience, cluster.Time), Stop);
        await AuthorityWire.ReadAsync(secure, 1000, IdentityJson.Default.AuthorityHello, Stop);
        return secure;
    }

    [Fact]
    public async Task One_in_the_middle_with_an_authority_of_its_own_gets_eight_bytes_and_no_secret()
    {
        using var cluster = new Cluster();
        using var evil = new Cluster();
        var (caller, called) = await Loopback.PairAsync();
        var joining = new AuthorityClient(cluster.Time, Patience).JoinAsync(caller, cluster.Authority.CreateToken(), Node2, [], Stop);
        await SendAuthorityAsync(called, evil);
        called.Socket.Shutdown(SocketShutdown.Send);
        Assert.Equal("AISLE-8021", await CodeAsync(() => joining));
        using var rest = new MemoryStream();
        await called.CopyToAsync(rest, Stop);
        Assert.Equal("AISLE-J1", Encoding.ASCII.GetString(rest.ToArray()));
        await called.DisposeAsync();
    }

    [Theory]
    [InlineData(Role.Authority, true, "AISLE-8031")] // the true authority's certificate is public, its key is not
    [InlineData(Role.Node, false, "AISLE-8034")] // a node of the cluster turned bad
    public async Task One_in_the_middle_that_shows_the_true_authority_never_gets_to_the_secret(Role role, bool foreign, string code)
    {
        using var cluster = new Cluster();
        using var evil = new Cluster();
        var (caller, called) = await Loopback.PairAsync();
        var joining = new AuthorityClient(cluster.Time, Patience).JoinAsync(caller, cluster.Authority.CreateToken(), Node2, [], Stop);
        await SendAuthorityAsync(called, cluster);
        await called.ReadExactlyAsync(new byte[8], Stop);
        var credential = (foreign ? evil : cluster).Node("node-9", role);
        var heard = 0L;
        try
        {
            // SslStream looks at the certificate after the last message of the handshake, so this side may believe that it has a channel. Nothing comes through it.
            await using var channel = await Handshake.RunAsync(called, new((foreign ? evil : cluster).Trust(), true, credential, null, null, Patience, cluster.Time), Stop);
            await AuthorityWire.WriteAsync(channel, new AuthorityHello(1, cluster.Time.GetUtcNow()), IdentityJson.Default.AuthorityHello, Stop);
            var buffer = new byte[1000];
            for (int read; (read = await channel.ReadAsync(buffer, Stop)) > 0;) heard += read;
        }
        catch (Exception cut) when (cut is AisleException or IOException)
        {
            // Or it was cut off.
        }
        Assert.Equal(code, await CodeAsync(() => joining));
        Assert.Equal(0, heard);
    }

    private static async Task SendAuthorityAsync(Stream to, Cluster whose)
    {
        var certificate = whose.Authority.Certificate.RawData;
        await to.WriteAsync((byte[])[(byte)(certificate.Length >> 8), (byte)certificate.Length, .. certificate], Stop);
    }

    [Theory]
    [InlineData(4, null)]
    [InlineData(-4, null)]
    [InlineData(7, "AISLE-8023")]
    [InlineData(-7, "AISLE-8033")] // to a clock that is behind, the authority's fresh certificate is not valid yet
    public async Task A_clock_that_is_far_off_is_told_before_the_token_is_used(int minutes, string? code)
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster);
        var token = cluster.Authority.CreateToken();
        var off = ((SteppedTime)cluster.Time).Off(TimeSpan.FromMinutes(minutes));
        if (code is null)
        {
            await JoinAsync(serving, off, token);
            return;
        }
        var refused = await Assert.ThrowsAsync<AisleException>(() => JoinAsync(serving, off, token));
        Assert.Equal(code, refused.Code);
        Assert.Contains("7 minutes", refused.Message, StringComparison.Ordinal);
        Assert.Null(cluster.Authority.Roster.Tokens[token.Id].Use);
    }

    [Fact]
    public async Task A_node_renews_with_its_certificate_and_gets_a_new_key()
    {
        var time = SteppedTime.Start();
        using var cluster = new Cluster(time);
        await using var serving = new Serving(cluster);
        var member = await JoinAsync(serving, time, cluster.Authority.CreateToken());
        time.Advance(TimeSpan.FromHours(16));
        var renewed = await RenewAsync(serving, time, member);
        Assert.Equal(member.Credential.Identity, renewed.Identity);
        Assert.Equal(time.GetUtcNow() + TimeSpan.FromHours(24), renewed.ExpiresAt);
        Assert.NotEqual(member.Credential.Certificate.GetPublicKeyString(), renewed.Certificate.GetPublicKeyString());
    }

    private static async Task<NodeCredential> RenewAsync(Serving serving, TimeProvider time, Membership member) =>
        await new AuthorityClient(time, Patience).RenewAsync(await serving.ConnectAsync(), member.Credential, member.Trust, [], Stop);

    [Fact]
    public async Task A_denied_node_and_one_that_comes_too_late_are_not_renewed()
    {
        var time = SteppedTime.Start();
        using var cluster = new Cluster(time);
        await using var serving = new Serving(cluster);
        var denied = await JoinAsync(serving, time, cluster.Authority.CreateToken(), "node-2");
        var late = await JoinAsync(serving, time, cluster.Authority.CreateToken(), "node-3");
        cluster.Authority.Deny(Node2);
        await Assert.ThrowsAsync<AisleException>(() => RenewAsync(serving, time, denied));
        await serving.RefusesAsync(1);
        Assert.Equal(1, serving.Refusals.Count("AISLE-8035"));
        time.Advance(TimeSpan.FromHours(24) + TimeSpan.FromMinutes(6));
        await Assert.ThrowsAsync<AisleException>(() => RenewAsync(serving, time, late));
        await serving.RefusesAsync(1);
        Assert.Equal(1, serving.Refusals.Count("AISLE-8032"));
        // A new token brings it back under its name.
        await JoinAsync(serving, time, cluster.Authority.CreateToken(), "node-3");
    }

    [Fact]
    public async Task Callers_that_talk_nonsense_are_refused_and_the_next_machine_joins()
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster);
        byte[][] nonsense = [[], "GET / HT"u8.ToArray(), "GET / HTTP/1.1\r\n\r\n"u8.ToArray(), [.. AuthorityWire.Join, .. new byte[100_000]], [.. AuthorityWire.Renew, .. "plain text"u8], new byte[1_000_000]];
        foreach (var bytes in nonsense)
        {
            await using var stream = await serving.ConnectAsync();
            await SendAndHangUpAsync(stream, bytes);
        }
        await serving.RefusesAsync(nonsense.Length);
        Assert.Equal(nonsense.Length, serving.Refusals.Total);
        await JoinAsync(serving, cluster.Time, cluster.Authority.CreateToken());
    }

    /// <summary>Returns when the other side has closed too.</summary>
    private static async Task SendAndHangUpAsync(NetworkStream stream, byte[] bytes)
    {
        try
        {
            await stream.WriteAsync(bytes, Stop);
            stream.Socket.Shutdown(SocketShutdown.Send);
            await stream.CopyToAsync(Stream.Null, Stop);
        }
        catch (Exception cut) when (cut is IOException or SocketException)
        {
            // It was cut off in the middle of what it said.
        }
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(-1)]
    [InlineData(AuthorityWire.MaxQuestionBytes + 1)]
    public async Task A_message_that_claims_to_be_huge_is_refused_before_it_is_read(int length)
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster);
        await using var secure = await BeginJoinAsync(serving, cluster);
        await secure.WriteAsync((byte[])[(byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length], Stop);
        Assert.Equal(0, await secure.ReadAsync(new byte[1], Stop));
        await serving.RefusesAsync(1);
        Assert.Equal(1, serving.Refusals.Count("AISLE-8022"));
    }

    [Fact]
    public void A_damaged_message_is_refused_and_nothing_worse()
    {
        var whole = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new JoinQuestion("id", "secret", "node", "node-2", [1, 2, 3], ["a"]), IdentityJson.Default.JoinQuestion);
        CsCheck.Check.Sample(CsCheck.Gen.Int, seed =>
        {
            try
            {
                AuthorityWire.Decode(Corruption.Of(whole, new Random(seed)), IdentityJson.Default.JoinQuestion);
            }
            catch (AisleException refused)
            {
                Assert.Equal("AISLE-8022", refused.Code);
            }
        }, iter: 1_000);
    }

    [Fact]
    public async Task A_caller_that_says_nothing_is_let_go_in_time()
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster, new() { Timeout = TimeSpan.FromMilliseconds(200) });
        await using var silent = await serving.ConnectAsync();
        Assert.Equal(0, await silent.ReadAsync(new byte[1], Stop));
        await serving.RefusesAsync(1);
        Assert.Equal(1, serving.Refusals.Count("AISLE-8038"));
    }

    [Fact]
    public async Task Callers_beyond_the_limit_are_turned_away_at_once()
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster, new() { Timeout = Patience, MaxCallers = 2 });
        await using var first = await serving.ConnectAsync();
        await using var second = await serving.ConnectAsync();
        await using var third = await serving.ConnectAsync();
        Assert.Equal(0, await third.ReadAsync(new byte[1], Stop));
        await serving.RefusesAsync(1);
        Assert.Equal(1, serving.Refusals.Count("AISLE-8039"));
    }

    [Fact]
    public async Task A_joining_machine_does_not_wait_for_ever()
    {
        using var cluster = new Cluster();
        var (caller, called) = await Loopback.PairAsync();
        await using var silent = called;
        Assert.Equal("AISLE-8038", await CodeAsync(() => new AuthorityClient(cluster.Time, TimeSpan.FromMilliseconds(50)).JoinAsync(caller, cluster.Authority.CreateToken(), Node2, [], Stop)));
    }

    [Fact]
    public async Task A_joining_machine_can_be_stopped()
    {
        using var cluster = new Cluster();
        var (caller, called) = await Loopback.PairAsync();
        await using var silent = called;
        using var stop = new CancellationTokenSource();
        var joining = new AuthorityClient(cluster.Time, Patience).JoinAsync(caller, cluster.Authority.CreateToken(), Node2, [], stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => joining);
    }
}
