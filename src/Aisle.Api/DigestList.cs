using Aisle.Artifacts;

namespace Aisle.Api;

/// <summary>Digests on the wire: 32 bytes each, nothing between.</summary>
public static class DigestList
{
    /// <summary>Most digests in one request: 32 KiB × 32 = 1 MiB of body.</summary>
    public const int MaxCount = 32 * 1024;

    public static byte[] Encode(IReadOnlyList<Digest> digests)
    {
        var bytes = new byte[digests.Count * Digest.SizeBytes];
        for (var i = 0; i < digests.Count; i++) digests[i].CopyTo(bytes.AsSpan(i * Digest.SizeBytes));
        return bytes;
    }

    public static IReadOnlyList<Digest> Decode(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length % Digest.SizeBytes != 0 || bytes.Length / Digest.SizeBytes > MaxCount)
            throw new AisleException("AISLE-7006", $"{bytes.Length} bytes are not a list of at most {MaxCount} digests.", "Send 32 bytes a digest, in several requests if need be.");
        var digests = new Digest[bytes.Length / Digest.SizeBytes];
        for (var i = 0; i < digests.Length; i++) digests[i] = new Digest(bytes.Slice(i * Digest.SizeBytes, Digest.SizeBytes));
        return digests;
    }
}
