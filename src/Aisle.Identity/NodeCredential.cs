using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Aisle.Identity;

/// <summary>What a member proves itself with: its private key, its certificate, and the certificate of the authority that issued it. Immutable; a renewal makes
/// another one. Thread-safe. Never disposed by those that use it, since handshakes may still be under way; the key is memory, and goes with it.</summary>
public sealed class NodeCredential
{
    private const int MaxFileBytes = 64 << 10;

    private readonly ECDsa _key;

    /// <exception cref="AisleException">AISLE-8004: the certificate is not for this key, not of this authority, or names nobody.</exception>
    internal NodeCredential(ECDsa key, X509Certificate2 certificate, X509Certificate2 authority)
    {
        if (!certificate.PublicKey.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(key.ExportSubjectPublicKeyInfo())) throw Wrong("the certificate is for another key");
        if (!PeerIdentity.TryRead(certificate, out var identity)) throw Wrong("the certificate names nobody");
        if (identity.Cluster != ClusterId.Of(authority.PublicKey.ExportSubjectPublicKeyInfo())) throw Wrong("the certificate is of another cluster");
        _key = key;
        Certificate = certificate;
        Authority = authority;
        Identity = identity;
        // Offline: building the chain must not fetch anything from an address that stands in a certificate.
        Context = SslStreamCertificateContext.Create(certificate.CopyWithPrivateKey(key), additionalCertificates: null, offline: true);
    }

    public PeerIdentity Identity { get; }

    /// <summary>Without the key.</summary>
    public X509Certificate2 Certificate { get; }

    public X509Certificate2 Authority { get; }

    public DateTimeOffset ExpiresAt => CertificateLife.End(Certificate);

    public DateTimeOffset RenewalDue => CertificateLife.RenewalDue(Certificate);

    internal SslStreamCertificateContext Context { get; }

    /// <summary>Keeps it in a file that only its owner may read; returns when it is on disk.</summary>
    /// <exception cref="AisleException">AISLE-8003.</exception>
    public void Save(string file) =>
        PrivateFile.Write(file, Encoding.ASCII.GetBytes(string.Join('\n', _key.ExportPkcs8PrivateKeyPem(), Certificate.ExportCertificatePem(), Authority.ExportCertificatePem(), "")));

    /// <exception cref="AisleException">AISLE-8003: the file cannot be read, or others may read it; AISLE-8004: it is damaged.</exception>
    public static NodeCredential Load(string file)
    {
        var (key, certificates) = KeyFile.Read(file, MaxFileBytes);
        if (certificates.Count != 2) throw Wrong($"'{file}' holds {certificates.Count} certificates instead of 2");
        return new NodeCredential(key, certificates[0], certificates[1]);
    }

    private static AisleException Wrong(string why) => new("AISLE-8004", $"A node's credential is no good: {why}.", "Join the node again with a new token.");
}

/// <summary>A private key and certificates in PEM, as OpenSSL reads them too.</summary>
internal static class KeyFile
{
    /// <exception cref="AisleException">AISLE-8003, AISLE-8004.</exception>
    public static (ECDsa Key, X509Certificate2Collection Certificates) Read(string file, int maxBytes)
    {
        var text = Encoding.ASCII.GetString(PrivateFile.Read(file, maxBytes));
        var key = ECDsa.Create();
        try
        {
            key.ImportFromPem(text);
            var certificates = new X509Certificate2Collection();
            certificates.ImportFromPem(text);
            return (key, certificates);
        }
        catch (Exception damage) when (damage is ArgumentException or CryptographicException or NotSupportedException) // the last for a curve nobody has heard of
        {
            key.Dispose();
            throw new AisleException("AISLE-8004", $"'{file}' is damaged: {damage.Message}", "Put back a copy of it that is whole.", damage);
        }
    }
}
