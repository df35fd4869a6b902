using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Aisle.Artifacts;

namespace Aisle.Identity;

/// <summary>How certificates are made and asked for. No state; keys and chance come from the system's generator.</summary>
internal static class CertificateIssue
{
    public const int MaxRequestBytes = 4 << 10;
    public const int MaxAddresses = 16;

    private const string P256 = "1.2.840.10045.3.1.7";

    public static ECDsa NewKey() => ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public static Digest HashOf(PublicKey key) => Digest.Of(key.ExportSubjectPublicKeyInfo());

    public static X509Certificate2 Authority(ECDsa key, DateTimeOffset now)
    {
        var cluster = ClusterId.Of(key.ExportSubjectPublicKeyInfo());
        var request = new CertificateRequest($"CN=Aisle cluster {cluster}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        using var withKey = request.CreateSelfSigned(now, now + CertificateLife.OfAuthority);
        return X509CertificateLoader.LoadCertificate(withKey.RawData);
    }

    /// <summary>A certificate request for a key: the proof that the asker has it. What it names is decided by the authority.</summary>
    public static byte[] Request(ECDsa key) => new CertificateRequest("CN=aisle", key, HashAlgorithmName.SHA256).CreateSigningRequest();

    /// <exception cref="AisleException">AISLE-8017: malformed, not signed by its own key, or another kind of key than ECDSA P-256.</exception>
    public static PublicKey Read(byte[] request)
    {
        if (request.Length is 0 or > MaxRequestBytes) throw BadRequest($"it has {request.Length} bytes");
        try
        {
            // The default options check its signature and ignore every extension it asks for.
            var read = CertificateRequest.LoadSigningRequest(request, HashAlgorithmName.SHA256);
            using var key = read.PublicKey.GetECDsaPublicKey() ?? throw BadRequest("its key is not ECDSA");
            if (key.ExportParameters(includePrivateParameters: false).Curve.Oid?.Value is not P256) throw BadRequest("its key is not on the curve P-256");
            return read.PublicKey;
        }
        catch (Exception damage) when (damage is CryptographicException or ArgumentException or NotSupportedException)
        {
            throw BadRequest("it cannot be read, or its signature is not of its own key", damage);
        }
    }

    /// <param name="addresses">Host names and IP addresses for callers that go by them; peers go by the identity alone.</param>
    /// <exception cref="AisleException">AISLE-8017: an address that is none.</exception>
    public static X509Certificate2 Certificate(PublicKey subject, PeerIdentity identity, IReadOnlyList<string> addresses, X509Certificate2 authority, ECDsa authorityKey,
        DateTimeOffset begin, DateTimeOffset end)
    {
        var request = new CertificateRequest(new X500DistinguishedName($"CN={identity.Role.Text()} {identity.Node}"), subject, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(ClusterTrust.Purposes(), critical: false));
        request.CertificateExtensions.Add(Names(identity, addresses));
        Span<byte> serial = stackalloc byte[16];
        RandomNumberGenerator.Fill(serial);
        serial[0] &= 0x7f; // a serial number is positive
        serial[0] |= 0x40; // and never shortened
        return request.Create(authority.SubjectName, X509SignatureGenerator.CreateForECDsa(authorityKey), begin, end, serial);
    }

    private static X509Extension Names(PeerIdentity identity, IReadOnlyList<string> addresses)
    {
        if (addresses.Count > MaxAddresses) throw BadRequest($"it names {addresses.Count} addresses; {MaxAddresses} at most are certified");
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri(identity.ToString()));
        foreach (var address in addresses)
        {
            if (IPAddress.TryParse(address, out var ip)) names.AddIpAddress(ip);
            else if (address.Length <= 253 && Uri.CheckHostName(address) == UriHostNameType.Dns && address.All(char.IsAscii)) names.AddDnsName(address);
            else throw BadRequest($"'{Shown.Of(address)}' is neither an IP address nor a host name");
        }
        return names.Build();
    }

    private static AisleException BadRequest(string why, Exception? inner = null) => new("AISLE-8017", $"A certificate request is refused: {why}.", "Update the program on the node that asked; a request is made by `aisle join` itself.", inner);
}
