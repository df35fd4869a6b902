using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Aisle.Identity;

/// <summary>The nodes that are not spoken with although their certificates have not expired yet. Immutable; each change is a new version, signed by the
/// authority, so that it does not matter who hands it on.</summary>
/// <param name="Version">Grows with each change; 0 is the empty list that needs no signature.</param>
public sealed record DenyList(ClusterId Cluster, long Version, ImmutableSortedSet<NodeId> Nodes)
{
    public const int MaxNodes = 10_000;
    public const int MaxBytes = 1 << 20;

    // First in what is signed: a signature over a list can never pass for one over anything else.
    private const string Title = "aisle-deny-1";

    public static DenyList Empty(ClusterId cluster) => new(cluster, 0, []);

    public bool Contains(NodeId node) => Nodes.Contains(node);

    /// <returns>Length of the text (4 bytes, big-endian), the text, the signature (ECDSA P-256 over SHA-256, DER).</returns>
    internal byte[] Sign(ECDsa authorityKey)
    {
        var text = Encoding.ASCII.GetBytes(string.Join('\n', [Title, Cluster.ToString(), Version.ToString(CultureInfo.InvariantCulture), .. Nodes.Select(node => node.ToString())]));
        var signature = authorityKey.SignData(text, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        var signed = new byte[4 + text.Length + signature.Length];
        BinaryPrimitives.WriteInt32BigEndian(signed, text.Length);
        text.CopyTo(signed, 4);
        signature.CopyTo(signed, 4 + text.Length);
        return signed;
    }

    /// <exception cref="AisleException">AISLE-8041: not signed by this authority, or not a list.</exception>
    public static DenyList Verify(ReadOnlySpan<byte> signed, X509Certificate2 authority)
    {
        if (signed.Length is < 4 or > MaxBytes) throw Wrong($"it has {signed.Length} bytes");
        var length = BinaryPrimitives.ReadInt32BigEndian(signed);
        if (length < 0 || length > signed.Length - 4) throw Wrong("it is cut off");
        var text = signed.Slice(4, length);
        using var key = authority.GetECDsaPublicKey() ?? throw Wrong("the authority has no ECDSA key");
        bool genuine;
        try
        {
            genuine = key.VerifyData(text, signed[(4 + length)..], HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        }
        catch (CryptographicException)
        {
            genuine = false;
        }
        if (!genuine) throw Wrong("its signature is not of this cluster's authority");
        return Parse(Encoding.ASCII.GetString(text).Split('\n'));
    }

    private static DenyList Parse(string[] lines)
    {
        if (lines.Length < 3 || lines[0] != Title || !ClusterId.TryParse(lines[1], out var cluster)
            || !long.TryParse(lines[2], NumberStyles.None, CultureInfo.InvariantCulture, out var version)) throw Wrong("it is of another version");
        var nodes = ImmutableSortedSet.CreateBuilder<NodeId>();
        foreach (var line in lines.AsSpan(3))
        {
            if (!NodeId.TryParse(line, out var node)) throw Wrong("it names something that is no node");
            nodes.Add(node);
        }
        return new DenyList(cluster, version, nodes.ToImmutable());
    }

    private static AisleException Wrong(string why) => new("AISLE-8041", $"A deny list is not believed: {why}.", "The list before it still holds. See which peer sent it; the authority's own list is right.");
}
