using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace Aisle.Identity;

/// <summary>A cluster's name: the first 128 bits of the SHA-256 of its authority's public key, as 32 hex digits. Who has the authority's certificate knows the
/// name, and no other key has it.</summary>
public readonly partial record struct ClusterId
{
    private readonly string? _text;

    private ClusterId(string text) => _text = text;

    public static ClusterId Of(ReadOnlySpan<byte> authorityPublicKeyInfo) => new(Convert.ToHexStringLower(SHA256.HashData(authorityPublicKeyInfo).AsSpan(0, 16)));

    public static bool TryParse(string? text, out ClusterId id)
    {
        var good = text is not null && Pattern.IsMatch(text);
        id = good ? new ClusterId(text!) : default;
        return good;
    }

    public override string ToString() => _text ?? "";

    [GeneratedRegex(@"\A[0-9a-f]{32}\z")]
    private static partial Regex Pattern { get; }
}
