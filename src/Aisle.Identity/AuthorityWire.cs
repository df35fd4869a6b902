using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;

namespace Aisle.Identity;

/// <summary>How a machine speaks with the authority, byte by byte.
/// <list type="number">
/// <item>The caller sends 8 bytes that say what it wants: <c>AISLE-J1</c> to join, <c>AISLE-R1</c> to renew, <c>AISLE-D1</c> to follow the deny list. For a join, and only
/// for a join, the authority answers with its certificate: 2 bytes of length, big-endian, and the DER.</item>
/// <item>Both do the TLS handshake on the same connection. The authority shows a certificate with its role; a joining machine shows none, a member shows its own.</item>
/// <item>Inside: frames of 4 bytes of length, big-endian, and content. To join or renew, in JSON: a hello from the authority with its time; a question; an answer. To
/// follow: one signed deny list after another from the authority; an empty frame is a sign of life.</item>
/// </list></summary>
internal static partial class AuthorityWire
{
    public const int PurposeBytes = 8;
    public const int MaxCertificateBytes = 4 << 10;
    public const int MaxQuestionBytes = 16 << 10;
    public const int MaxAnswerBytes = 2 << 20; // holds a full deny list in base 64

    public static TimeSpan Heartbeat => TimeSpan.FromSeconds(15);

    public static ReadOnlySpan<byte> Join => "AISLE-J1"u8;

    public static ReadOnlySpan<byte> Renew => "AISLE-R1"u8;

    public static ReadOnlySpan<byte> Follow => "AISLE-D1"u8;

    public static async Task WriteAsync<T>(Stream stream, T message, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(message, type);
        await WriteAsync(stream, json, cancellationToken);
    }

    public static async Task WriteAsync(Stream stream, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        var frame = new byte[4 + content.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, content.Length);
        content.CopyTo(frame.AsMemory(4));
        await stream.WriteAsync(frame, cancellationToken);
        await stream.FlushAsync(cancellationToken);
    }

    /// <exception cref="AisleException">AISLE-8022: too long, cut off, or not the message that is due.</exception>
    public static async Task<T> ReadAsync<T>(Stream stream, int maxBytes, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        Decode(await ReadAsync(stream, maxBytes, cancellationToken), type);

    /// <exception cref="AisleException">AISLE-8022: too long or cut off.</exception>
    public static async Task<byte[]> ReadAsync(Stream stream, int maxBytes, CancellationToken cancellationToken)
    {
        var head = new byte[4];
        await FillAsync(stream, head, cancellationToken);
        var length = BinaryPrimitives.ReadInt32BigEndian(head);
        if (length < 0 || length > maxBytes) throw Malformed($"a message of {(uint)length} bytes came, and at most {maxBytes} are taken");
        var content = new byte[length];
        await FillAsync(stream, content, cancellationToken);
        return content;
    }

    public static T Decode<T>(byte[] json, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw Malformed("an empty message came");
        }
        catch (Exception damage) when (damage is JsonException or NotSupportedException)
        {
            throw Malformed("a message is not the one that is due", damage);
        }
    }

    public static async Task FillAsync(Stream stream, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            await stream.ReadExactlyAsync(buffer, cancellationToken);
        }
        catch (EndOfStreamException cut)
        {
            throw Malformed("the connection ended in the middle of a message", cut);
        }
    }

    public static AisleException Malformed(string why, Exception? inner = null) => new("AISLE-8022", $"The peer does not speak as the authority and its callers do: {why}.",
        "Check the address and port, and that both run the same version of Aisle.", inner);

    [GeneratedRegex(@"\AAISLE-8\d{3}\z")]
    public static partial Regex Code { get; }
}

/// <param name="Version">1.</param>
/// <param name="Time">The authority's clock.</param>
internal sealed record AuthorityHello(int Version, DateTimeOffset Time);

/// <param name="Request">PKCS #10, DER.</param>
internal sealed record JoinQuestion(string TokenId, string Secret, string Role, string Node, byte[] Request, string[] Addresses);

internal sealed record RenewalQuestion(byte[] Request, string[] Addresses);

/// <summary>A certificate and the deny list, or a refusal.</summary>
internal sealed record AuthorityAnswer(byte[]? Certificate = null, byte[]? DenyList = null, Refusal? Refusal = null);
