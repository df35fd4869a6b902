using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Artifacts;

/// <summary>SHA-256 of content: the name of everything that lasts. Written <c>sha256:</c> and 64 hex digits; 32 bytes, compared in full.</summary>
[JsonConverter(typeof(DigestJson))]
public readonly record struct Digest : IComparable<Digest>, ISpanParsable<Digest>
{
    public const int SizeBytes = 32;
    private const string Prefix = "sha256:";

    // Four words rather than an array: a digest is a value, copied and compared without touching the heap.
    private readonly ulong _a, _b, _c, _d;

    public Digest(ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes.Length, SizeBytes, nameof(bytes));
        _a = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        _b = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
        _c = BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]);
        _d = BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]);
    }

    public static Digest Of(ReadOnlySpan<byte> content)
    {
        Span<byte> hash = stackalloc byte[SizeBytes];
        SHA256.HashData(content, hash);
        return new Digest(hash);
    }

    public static Digest Of(string text) => Of(Encoding.UTF8.GetBytes(text));

    public void CopyTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, _a);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], _b);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], _c);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], _d);
    }

    /// <summary>64 lower-case hex digits, without the <c>sha256:</c> prefix: safe as a file name.</summary>
    public string Hex => $"{_a:x16}{_b:x16}{_c:x16}{_d:x16}";

    /// <summary>First 12 hex digits, for people.</summary>
    public string Short => Hex[..12];

    public override string ToString() => Prefix + Hex;

    public int CompareTo(Digest other)
    {
        var order = _a.CompareTo(other._a);
        if (order == 0) order = _b.CompareTo(other._b);
        if (order == 0) order = _c.CompareTo(other._c);
        return order == 0 ? _d.CompareTo(other._d) : order;
    }

    public static Digest Parse(string text) => Parse(text, null);

    public static Digest Parse(string s, IFormatProvider? provider) => Parse(s.AsSpan(), provider);

    public static Digest Parse(ReadOnlySpan<char> s, IFormatProvider? provider) => TryParse(s, provider, out var digest)
        ? digest
        : throw new AisleException("AISLE-1001", $"'{s}' is not a digest.", "Write it as sha256: and 64 hex digits.");

    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out Digest result) => TryParse(s.AsSpan(), provider, out result);

    public static bool TryParse(string? text, out Digest result) => TryParse(text.AsSpan(), null, out result);

    /// <summary>Accepts the full form with or without the prefix.</summary>
    public static bool TryParse(ReadOnlySpan<char> s, IFormatProvider? provider, out Digest result)
    {
        result = default;
        if (s.StartsWith(Prefix)) s = s[Prefix.Length..];
        if (s.Length != SizeBytes * 2) return false;
        Span<byte> bytes = stackalloc byte[SizeBytes];
        if (Convert.FromHexString(s, bytes, out _, out var written) != System.Buffers.OperationStatus.Done || written != SizeBytes) return false;
        result = new Digest(bytes);
        return true;
    }

    public static bool operator <(Digest left, Digest right) => left.CompareTo(right) < 0;

    public static bool operator >(Digest left, Digest right) => left.CompareTo(right) > 0;

    public static bool operator <=(Digest left, Digest right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Digest left, Digest right) => left.CompareTo(right) >= 0;
}

public sealed class DigestJson : JsonConverter<Digest>
{
    public override Digest Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Digest.TryParse(reader.GetString(), out var digest) ? digest : throw new JsonException("Not a digest: write sha256: and 64 hex digits.");

    public override void Write(Utf8JsonWriter writer, Digest value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());

    public override Digest ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Read(ref reader, typeToConvert, options);

    public override void WriteAsPropertyName(Utf8JsonWriter writer, [DisallowNull] Digest value, JsonSerializerOptions options) =>
        writer.WritePropertyName(value.ToString());
}
