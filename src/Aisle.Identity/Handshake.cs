using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Aisle.Identity;

/// <summary>What one side asks of a handshake.</summary>
/// <param name="PeerRole">What the peer's certificate must entitle it to; null when the peer shows none, as a machine that is about to join.</param>
/// <param name="Expected">The node that is meant; null for any with the role.</param>
/// <param name="Timeout">For the whole handshake.</param>
internal sealed record HandshakeTerms(ClusterTrust Trust, bool IsServer, NodeCredential? Own, Role? PeerRole, NodeId? Expected, TimeSpan Timeout, TimeProvider Time);

/// <summary>The one TLS handshake of all of Aisle's own connections: TLS 1.3 only, no resumption (a ticket would outlive a denial), peers known by the cluster's
/// authority and nothing else.</summary>
internal static class Handshake
{
    // SslStream wants a name to send; peers are known by the identity in their certificates, so it says nothing about the cluster.
    private const string Anyone = "aisle";

    private const byte Welcome = 1;

    /// <summary>Takes the inner stream over: it belongs to the returned one, or has been disposed when this throws.</summary>
    /// <exception cref="AisleException">AISLE-8030 to 8036: the peer is refused; 8037: it does not speak TLS 1.3; 8038: it was too slow; 8040: it refused this side.</exception>
    public static async Task<NodeStream> RunAsync(Stream inner, HandshakeTerms terms, CancellationToken cancellationToken)
    {
        var attempt = new Attempt(terms);
        var stream = new NodeStream(inner);
        using var slow = new CancellationTokenSource(terms.Timeout, terms.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(slow.Token, cancellationToken);
        try
        {
            // Not every stream heeds a token while it reads; each ends when it is disposed.
            using (either.Token.UnsafeRegister(static inner => ((Stream)inner!).Dispose(), inner))
            {
                if (terms.IsServer) await stream.AuthenticateAsServerAsync(attempt.Server(), either.Token);
                else await stream.AuthenticateAsClientAsync(attempt.Client(), either.Token);
                // Who was not looked at is not let in, for whatever reason the callback did not run.
                if (!attempt.Admits) throw new AuthenticationException("The peer's certificate was not checked.");
                // In TLS 1.3 a client is done before the server has seen its certificate. One byte tells it that it is in.
                if (terms.IsServer)
                {
                    await stream.WriteAsync(new[] { Welcome }, either.Token);
                    await stream.FlushAsync(either.Token);
                }
                else await AwaitWelcomeAsync(stream, either.Token);
            }
            either.Token.ThrowIfCancellationRequested(); // the stream was disposed at the very end
            stream.Peer = attempt.Peer;
            return stream;
        }
        catch (Exception error)
        {
            await stream.DisposeAsync();
            if (attempt.Refusal is { } refused) throw refused.ToException(error);
            cancellationToken.ThrowIfCancellationRequested();
            if (slow.IsCancellationRequested)
            {
                throw new AisleException("AISLE-8038", $"The peer did not finish its TLS handshake within {terms.Timeout.TotalSeconds:0.###} s.", "See whether it is overloaded, or no member of the cluster at all.", error);
            }
            if (error is AisleException) throw;
            if (error is AuthenticationException or IOException or ObjectDisposedException or InvalidOperationException)
            {
                throw new AisleException("AISLE-8037", $"The TLS handshake failed: {Shown.Of(error.InnerException?.Message ?? error.Message)}",
                    "Only TLS 1.3 with the cluster's certificates is spoken here. If the peer is a member, its log says whether it refused this side.", error);
            }
            throw;
        }
    }

    private static async Task AwaitWelcomeAsync(NodeStream stream, CancellationToken cancellationToken)
    {
        var answer = new byte[1];
        int read;
        try
        {
            read = await stream.ReadAsync(answer, cancellationToken);
        }
        catch (Exception cut) when (cut is IOException && !cancellationToken.IsCancellationRequested)
        {
            throw RefusedThere(cut);
        }
        if (read == 0 || answer[0] != Welcome) throw RefusedThere(null);
    }

    private static AisleException RefusedThere(Exception? inner) => new("AISLE-8040", "The peer refused this side's certificate, or closed.",
        "Its log says why: an expired or denied certificate, another cluster, or too many connections at once.", inner);

    /// <summary>One handshake's verdict, taken in the middle of it by the certificate callback.</summary>
    private sealed class Attempt(HandshakeTerms terms)
    {
        public Refusal? Refusal { get; private set; }

        public PeerIdentity Peer { get; private set; }

        public bool Admits => Refusal is null && (terms.PeerRole is not { } role || Peer.Role == role && Peer.Node != default);

        public SslServerAuthenticationOptions Server() => new()
        {
            ServerCertificateContext = terms.Own!.Context,
            ClientCertificateRequired = terms.PeerRole is not null,
            EnabledSslProtocols = SslProtocols.Tls13,
            EncryptionPolicy = EncryptionPolicy.RequireEncryption,
            AllowTlsResume = false,
            AllowRenegotiation = false,
            CertificateChainPolicy = terms.Trust.Policy(),
            RemoteCertificateValidationCallback = Verdict,
        };

        public SslClientAuthenticationOptions Client() => new()
        {
            TargetHost = Anyone,
            ClientCertificateContext = terms.Own?.Context,
            EnabledSslProtocols = SslProtocols.Tls13,
            EncryptionPolicy = EncryptionPolicy.RequireEncryption,
            AllowTlsResume = false,
            AllowRenegotiation = false,
            CertificateChainPolicy = terms.Trust.Policy(),
            RemoteCertificateValidationCallback = Verdict,
        };

        // What SslStream found is not asked: its errors are about host names and clocks; the trust's own check is stricter in all that counts.
        private bool Verdict(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
        {
            if (terms.PeerRole is not { } role) return true;
            Refusal = terms.Trust.Check(certificate as X509Certificate2, role, terms.Expected, terms.Time.GetUtcNow(), out var peer);
            Peer = peer;
            return Refusal is null;
        }
    }
}
