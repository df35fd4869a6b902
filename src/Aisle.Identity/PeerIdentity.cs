using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace Aisle.Identity;

/// <summary>Who a certificate says its holder is, written <c>spiffe://CLUSTER/ROLE/NAME</c> in the certificate's alternative names.</summary>
public readonly record struct PeerIdentity(ClusterId Cluster, Role Role, NodeId Node)
{
    private const string Scheme = "spiffe://";
    private const string AlternativeNames = "2.5.29.17";

    public override string ToString() => $"{Scheme}{Cluster}/{Role.Text()}/{Node}";

    /// <summary>Accepts exactly what <see cref="ToString"/> writes.</summary>
    public static bool TryParse(string? text, out PeerIdentity identity)
    {
        identity = default;
        if (text is null || !text.StartsWith(Scheme, StringComparison.Ordinal) || text.Length > 200) return false;
        var parts = text[Scheme.Length..].Split('/');
        if (parts.Length != 3) return false;
        if (!ClusterId.TryParse(parts[0], out var cluster) || !RoleText.TryParse(parts[1], out var role) || !NodeId.TryParse(parts[2], out var node)) return false;
        identity = new PeerIdentity(cluster, role, node);
        return true;
    }

    /// <summary>Reads the certificate's one URI name. A certificate with none, or with several, is nobody's.</summary>
    internal static bool TryRead(X509Certificate2 certificate, out PeerIdentity identity)
    {
        identity = default;
        string? uri = null;
        try
        {
            foreach (var extension in certificate.Extensions)
            {
                if (extension.Oid?.Value != AlternativeNames) continue;
                // RFC 5280, 4.2.1.6: GeneralNames is a sequence, a URI is the context tag 6 as IA5String. .NET's own reader shows DNS and IP names only.
                var uriTag = new Asn1Tag(TagClass.ContextSpecific, 6);
                var names = new AsnReader(extension.RawData, AsnEncodingRules.DER).ReadSequence();
                while (names.HasData)
                {
                    if (!names.PeekTag().HasSameClassAndValue(uriTag))
                    {
                        names.ReadEncodedValue();
                        continue;
                    }
                    if (uri is not null) return false;
                    uri = names.ReadCharacterString(UniversalTagNumber.IA5String, uriTag);
                }
            }
        }
        catch (AsnContentException)
        {
            return false;
        }
        return TryParse(uri, out identity);
    }
}
