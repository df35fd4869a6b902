using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Aisle.Identity;

/// <summary>What a member believes: certificates of its cluster's authority, and of nobody else, except for nodes on the deny list. Thread-safe.</summary>
public sealed class ClusterTrust
{
    private const string ServerPurpose = "1.3.6.1.5.5.7.3.1";
    private const string ClientPurpose = "1.3.6.1.5.5.7.3.2";

    private readonly Lock _gate = new(); // orders changes of _denied; readers take what is there
    private volatile DenyList _denied;

    /// <param name="authority">The authority's certificate, without its key. Not disposed here.</param>
    public ClusterTrust(X509Certificate2 authority, DenyList? denied = null)
    {
        Authority = authority;
        Cluster = ClusterId.Of(authority.PublicKey.ExportSubjectPublicKeyInfo());
        _denied = denied ?? DenyList.Empty(Cluster);
        if (_denied.Cluster != Cluster) throw new ArgumentException("The deny list is of another cluster.", nameof(denied));
    }

    public ClusterId Cluster { get; }

    public X509Certificate2 Authority { get; }

    public DenyList Denied => _denied;

    /// <summary>Raised after <see cref="Denied"/> changed, by whoever brought the list. Handlers must not throw.</summary>
    public event Action? DeniedChanged;

    /// <summary>Takes a newer deny list; an older or equal one changes nothing, so lists may arrive in any order.</summary>
    /// <param name="signed">As <see cref="DenyList.Sign"/> made it; whoever carried it.</param>
    /// <returns>Whether it was newer.</returns>
    /// <exception cref="AisleException">AISLE-8041: not a list that this cluster's authority signed.</exception>
    public bool Accept(ReadOnlySpan<byte> signed)
    {
        var list = DenyList.Verify(signed, Authority);
        lock (_gate)
        {
            if (list.Version <= _denied.Version) return false;
            _denied = list;
        }
        DeniedChanged?.Invoke();
        return true;
    }

    /// <summary>Whether the holder of this certificate may be spoken with.</summary>
    /// <param name="certificate">What the peer presented; the TLS handshake has proved that it holds the key.</param>
    /// <param name="expected">The node that is meant; null for any.</param>
    /// <returns>Null when it may; else why not: AISLE-8030 to 8036.</returns>
    public Refusal? Check(X509Certificate2? certificate, Role role, NodeId? expected, DateTimeOffset now, out PeerIdentity peer)
    {
        peer = default;
        if (certificate is null) return new("AISLE-8030", "The peer presented no certificate.", "Only members of the cluster are answered here: join the machine with a token.");
        if (!IsIssued(certificate))
        {
            return new("AISLE-8031", $"The certificate '{Shown.Of(certificate.Subject)}' was not issued by the authority of cluster {Cluster}.",
                "If that machine should belong here, join it with a token of this cluster.");
        }
        if (!PeerIdentity.TryRead(certificate, out var holder) || holder.Cluster != Cluster)
        {
            return new("AISLE-8034", $"The certificate '{Shown.Of(certificate.Subject)}' names nobody of cluster {Cluster}.", "Join that machine again with a new token.");
        }
        if (holder.Role != role) return new("AISLE-8034", $"{holder} is no {role.Text()}.", $"Only a {role.Text()} is answered here; use the address that is meant for a {holder.Role.Text()}.");
        if (CertificateLife.Check(certificate, holder.ToString(), now) is { } outOfTime) return outOfTime;
        if (_denied.Contains(holder.Node)) return new("AISLE-8035", $"{holder.Node} was denied by an operator.", $"If it may come back, allow it again, and then join it with a new token.");
        if (expected is { } meant && holder.Node != meant) return new("AISLE-8036", $"{holder.Node} answered where {meant} was expected.", "See whether an address changed hands.");
        peer = holder;
        return null;
    }

    private bool IsIssued(X509Certificate2 certificate)
    {
        using var chain = new X509Chain { ChainPolicy = Policy() };
        try
        {
            // Nothing between authority and holder: with two elements, the authority itself signed it.
            return chain.Build(certificate) && chain.ChainElements.Count == 2 && chain.ChainElements[1].Certificate.RawDataMemory.Span.SequenceEqual(Authority.RawDataMemory.Span);
        }
        catch (CryptographicException)
        {
            return false;
        }
        finally
        {
            foreach (var element in chain.ChainElements) element.Certificate.Dispose();
        }
    }

    /// <summary>One root, no network, no system store. Times are checked by <see cref="CertificateLife"/>, which tolerates clocks that differ a little.</summary>
    internal X509ChainPolicy Policy() => new()
    {
        TrustMode = X509ChainTrustMode.CustomRootTrust,
        CustomTrustStore = { Authority },
        RevocationMode = X509RevocationMode.NoCheck,
        DisableCertificateDownloads = true,
        VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid,
        ApplicationPolicy = { new Oid(ServerPurpose), new Oid(ClientPurpose) },
    };

    internal static OidCollection Purposes() => [new Oid(ServerPurpose), new Oid(ClientPurpose)];
}
