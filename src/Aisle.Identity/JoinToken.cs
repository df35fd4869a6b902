using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.RegularExpressions;
using Aisle.Artifacts;

namespace Aisle.Identity;

/// <summary>The one line an operator carries to a new machine: <c>AISLE1</c>, the SHA-256 of the authority's certificate (64 hex digits), <c>.</c>, the token's id
/// (10 hex digits), <c>.</c>, its secret (256 bits, 64 hex digits). The first part lets the machine know the cluster before it shows the last.</summary>
public sealed partial record JoinToken
{
    public const int MaxLength = 160;

    private JoinToken(Digest authority, string id, string secret) => (Authority, Id, Secret) = (authority, id, secret);

    /// <summary>SHA-256 of the authority's certificate in DER.</summary>
    public Digest Authority { get; }

    /// <summary>Not secret: it names the token in lists and logs.</summary>
    public string Id { get; }

    internal string Secret { get; }

    /// <summary>What the authority keeps instead of the secret.</summary>
    internal Digest SecretHash => HashOf(Secret);

    internal static Digest HashOf(string secret) => Digest.Of(Encoding.UTF8.GetBytes(secret));

    internal static JoinToken Create(Digest authority) =>
        new(authority, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(5)), Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32)));

    internal static Digest FingerprintOf(X509Certificate2 authority) => Digest.Of(authority.RawDataMemory.Span);

    /// <exception cref="AisleException">AISLE-8001: not a join token. The message does not repeat it: half of a secret is still a secret.</exception>
    public static JoinToken Parse(string? text)
    {
        if (text is null || text.Length > MaxLength || Pattern.Match(text) is not { Success: true } match || !Digest.TryParse(match.Groups[1].ValueSpan, null, out var authority))
        {
            throw new AisleException("AISLE-8001", $"This is not a join token ({text?.Length ?? 0} characters; a whole one has 146 and begins with AISLE1).",
                "Copy the line again, all of it, or make a new token on a node of the cluster.");
        }
        return new JoinToken(authority, match.Groups[2].Value, match.Groups[3].Value);
    }

    /// <summary>The whole token with its secret: for the one who made it, never for a log.</summary>
    public string Reveal() => $"AISLE1{Authority.Hex}.{Id}.{Secret}";

    /// <summary>Without the secret.</summary>
    public override string ToString() => $"AISLE1{Authority.Hex}.{Id}.…";

    [GeneratedRegex(@"\AAISLE1([0-9a-f]{64})\.([0-9a-f]{10})\.([0-9a-f]{64})\z")]
    private static partial Regex Pattern { get; }
}
