using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Aisle.Identity;

/// <summary>What a machine has once it belongs to the cluster.</summary>
public sealed record Membership(NodeCredential Credential, ClusterTrust Trust);

/// <summary>A machine's side of joining and renewing. Each call takes a fresh connection to the authority and disposes it.</summary>
public sealed class AuthorityClient(TimeProvider time, TimeSpan timeout)
{
    /// <summary>Joins the cluster that the token pins. The secret leaves this machine only through TLS with a peer that proved to be that cluster's authority.</summary>
    /// <param name="connection">Just opened; belongs to this call.</param>
    /// <param name="addresses">Names and addresses that callers reach this machine by, 16 at most.</param>
    /// <exception cref="AisleException">AISLE-8021: another cluster, or somebody in between; 8023: the clocks differ; 8010 to 8018: refused by the authority;
    /// 8022, 8024, 8037, 8038: it does not answer as an authority does.</exception>
    public Task<Membership> JoinAsync(Stream connection, JoinToken token, NodeId node, IReadOnlyList<string> addresses, CancellationToken cancellationToken) =>
        CallAsync(connection, async call =>
        {
            var trust = new ClusterTrust(await FetchAuthorityAsync(connection, token, call));
            await using var secure = await Handshake.RunAsync(connection, Terms(trust, own: null), call);
            await HearAsync(secure, call);
            var key = CertificateIssue.NewKey();
            await AuthorityWire.WriteAsync(secure, new JoinQuestion(token.Id, token.Secret, Role.Node.Text(), node.ToString(), CertificateIssue.Request(key), [.. addresses]),
                IdentityJson.Default.JoinQuestion, call);
            return new Membership(await ReceiveAsync(secure, trust, key, node, call), trust);
        }, cancellationToken);

    /// <summary>Gets a certificate for another day, with a new key.</summary>
    /// <exception cref="AisleException">As for joining; AISLE-8018 or 8040 when this node was denied or came too late.</exception>
    public Task<NodeCredential> RenewAsync(Stream connection, NodeCredential own, ClusterTrust trust, IReadOnlyList<string> addresses, CancellationToken cancellationToken) =>
        CallAsync(connection, async call =>
        {
            await connection.WriteAsync(AuthorityWire.Renew.ToArray(), call);
            await using var secure = await Handshake.RunAsync(connection, Terms(trust, own), call);
            await HearAsync(secure, call);
            var key = CertificateIssue.NewKey();
            await AuthorityWire.WriteAsync(secure, new RenewalQuestion(CertificateIssue.Request(key), [.. addresses]), IdentityJson.Default.RenewalQuestion, call);
            return await ReceiveAsync(secure, trust, key, own.Identity.Node, call);
        }, cancellationToken);

    /// <summary>Hears each new deny list, signed, until the connection is lost or this is cancelled.</summary>
    /// <param name="connection">Just opened; belongs to this call.</param>
    /// <param name="hear">Called with each list, one at a time; what it throws ends the call.</param>
    /// <exception cref="AisleException">AISLE-8024, 8022: the connection was lost; 8038: silent for three heartbeats; else as for renewing.</exception>
    public async Task FollowAsync(Stream connection, NodeCredential own, ClusterTrust trust, Action<byte[]> hear, CancellationToken cancellationToken)
    {
        var secure = await CallAsync(connection, async call =>
        {
            await connection.WriteAsync(AuthorityWire.Follow.ToArray(), call);
            return await Handshake.RunAsync(connection, Terms(trust, own), call);
        }, cancellationToken, disposes: false);
        await using (secure)
        {
            while (true)
            {
                var list = await CallAsync(secure, call => AuthorityWire.ReadAsync(secure, DenyList.MaxBytes, call), cancellationToken, disposes: false, AuthorityWire.Heartbeat * 3);
                if (list.Length > 0) hear(list);
            }
        }
    }

    /// <summary>Anybody may have sent this certificate; only the one whose hash stands in the token is looked at.</summary>
    private static async Task<X509Certificate2> FetchAuthorityAsync(Stream connection, JoinToken token, CancellationToken cancellationToken)
    {
        await connection.WriteAsync(AuthorityWire.Join.ToArray(), cancellationToken);
        var head = new byte[2];
        await AuthorityWire.FillAsync(connection, head, cancellationToken);
        var length = head[0] << 8 | head[1];
        if (length is 0 or > AuthorityWire.MaxCertificateBytes) throw AuthorityWire.Malformed($"a certificate of {length} bytes came");
        var certificate = new byte[length];
        await AuthorityWire.FillAsync(connection, certificate, cancellationToken);
        if (Artifacts.Digest.Of(certificate) != token.Authority)
        {
            throw new AisleException("AISLE-8021", "The machine that answered is not of the cluster that the token was made for; the token's secret was not sent.",
                "Check the address. If it is right, somebody stands in between: join over another network, and tell whoever runs this one.");
        }
        try
        {
            return X509CertificateLoader.LoadCertificate(certificate);
        }
        catch (CryptographicException damage)
        {
            throw AuthorityWire.Malformed("its certificate cannot be read", damage);
        }
    }

    private async Task HearAsync(NodeStream secure, CancellationToken cancellationToken)
    {
        var hello = await AuthorityWire.ReadAsync(secure, AuthorityWire.MaxQuestionBytes, IdentityJson.Default.AuthorityHello, cancellationToken);
        if (hello.Version != 1) throw AuthorityWire.Malformed($"it speaks version {hello.Version}, and this program version 1");
        if (CertificateLife.CheckClocks(hello.Time, time.GetUtcNow()) is { } apart) throw apart.ToException();
    }

    private async Task<NodeCredential> ReceiveAsync(NodeStream secure, ClusterTrust trust, ECDsa key, NodeId node, CancellationToken cancellationToken)
    {
        var answer = await AuthorityWire.ReadAsync(secure, AuthorityWire.MaxAnswerBytes, IdentityJson.Default.AuthorityAnswer, cancellationToken);
        if (answer.Refusal is { } refusal) throw AuthorityWire.Code.IsMatch(refusal.Code) ? refusal.ToException() : AuthorityWire.Malformed("it refuses without a code");
        if (answer.Certificate is not { Length: > 0 and <= AuthorityWire.MaxCertificateBytes } der) throw AuthorityWire.Malformed("it answers without a certificate");
        X509Certificate2 certificate;
        try
        {
            certificate = X509CertificateLoader.LoadCertificate(der);
        }
        catch (CryptographicException damage)
        {
            throw AuthorityWire.Malformed("the certificate it issued cannot be read", damage);
        }
        if (trust.Check(certificate, Role.Node, node, time.GetUtcNow(), out _) is { } wrong) throw wrong.ToException();
        if (answer.DenyList is { Length: > 0 } list) trust.Accept(list);
        return new NodeCredential(key, certificate, trust.Authority);
    }

    private HandshakeTerms Terms(ClusterTrust trust, NodeCredential? own) => new(trust, IsServer: false, own, Role.Authority, Expected: null, timeout, time);

    /// <summary>Does one thing with the authority in bounded time. The stream is disposed when that fails, and, unless it is to go on, when it succeeds.</summary>
    private async Task<T> CallAsync<T>(Stream stream, Func<CancellationToken, Task<T>> talk, CancellationToken cancellationToken, bool disposes = true, TimeSpan? within = null)
    {
        var bound = within ?? timeout;
        using var slow = new CancellationTokenSource(bound, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(slow.Token, cancellationToken);
        try
        {
            T said;
            using (either.Token.UnsafeRegister(static stream => ((Stream)stream!).Dispose(), stream)) said = await talk(either.Token);
            if (disposes) await stream.DisposeAsync();
            return said;
        }
        catch (Exception error)
        {
            await stream.DisposeAsync();
            cancellationToken.ThrowIfCancellationRequested();
            if (slow.IsCancellationRequested)
            {
                throw new AisleException("AISLE-8038", $"The authority did not answer within {bound.TotalSeconds:0.###} s.", "See that the address is right and the first node is up, and try again.", error);
            }
            if (error is IOException or ObjectDisposedException)
            {
                throw new AisleException("AISLE-8024", $"The connection to the authority was lost: {Shown.Of(error.Message)}",
                    "Try again; if a token turns out to be used by then, make a new one.", error);
            }
            throw;
        }
    }
}
