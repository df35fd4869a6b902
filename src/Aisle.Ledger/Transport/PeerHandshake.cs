using System.Buffers.Binary;
using System.Security.Cryptography;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Transport;

/// <summary>What a connection is for: heartbeats never wait behind a snapshot.</summary>
internal enum Lane : byte
{
    Control = 0,
    Bulk = 1,
}

/// <summary>
/// Both ends show that they know the secret, without sending it. Hello: magic 8 bytes, version u8, lane u8, cluster 16 bytes, from u64, to u64, nonce 32 bytes.
/// Answer: nonce 32 bytes, proof 32 bytes. Then the dialling end's proof, 32 bytes. A proof is an HMAC-SHA-256 over side, hello and the other nonce.
/// </summary>
internal static class PeerHandshake
{
    public const int HelloBytes = 74;
    private const byte Version = 1;
    private const int NonceBytes = 32, ProofBytes = 32;
    private const int VersionAt = 8, LaneAt = 9, ClusterAt = 10, FromAt = 26, ToAt = 34, NonceAt = 42;

    private static ReadOnlySpan<byte> Magic => "AISLELGR"u8;

    /// <exception cref="AisleException">AISLE-2085: the other end does not know the secret.</exception>
    /// <exception cref="IOException">The stream failed, or the other end refused by closing it.</exception>
    public static async Task DialAsync(Stream stream, ReadOnlyMemory<byte> secret, ReadOnlyMemory<byte> cluster, MemberId from, MemberId to, Lane lane, CancellationToken ct)
    {
        var hello = new byte[HelloBytes];
        Magic.CopyTo(hello);
        (hello[VersionAt], hello[LaneAt]) = (Version, (byte)lane);
        cluster.Span.CopyTo(hello.AsSpan(ClusterAt));
        BinaryPrimitives.WriteUInt64LittleEndian(hello.AsSpan(FromAt), from.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(hello.AsSpan(ToAt), to.Value);
        RandomNumberGenerator.Fill(hello.AsSpan(NonceAt));
        await stream.WriteAsync(hello, ct).ConfigureAwait(false);
        await stream.FlushAsync(ct).ConfigureAwait(false);
        var answer = new byte[NonceBytes + ProofBytes];
        await stream.ReadExactlyAsync(answer, ct).ConfigureAwait(false);
        var nonce = answer.AsMemory(0, NonceBytes);
        if (!CryptographicOperations.FixedTimeEquals(answer.AsSpan(NonceBytes), Proof(secret, "accept", hello, nonce))) throw PeerFrame.Refused($"who listens for {to} does not know the secret");
        await stream.WriteAsync(Proof(secret, "dial", hello, nonce), ct).ConfigureAwait(false);
        await stream.FlushAsync(ct).ConfigureAwait(false);
    }

    /// <exception cref="AisleException">AISLE-2085: no member of this cluster, or not for this one.</exception>
    /// <exception cref="IOException">The stream failed or ended.</exception>
    public static async Task<(MemberId From, Lane Lane)> AcceptAsync(Stream stream, ReadOnlyMemory<byte> secret, ReadOnlyMemory<byte> cluster, MemberId self, CancellationToken ct)
    {
        var hello = new byte[HelloBytes];
        await stream.ReadExactlyAsync(hello, ct).ConfigureAwait(false);
        if (!hello.AsSpan().StartsWith(Magic)) throw PeerFrame.Refused("it does not begin as a member does");
        if (hello[VersionAt] != Version) throw PeerFrame.Refused($"it speaks version {hello[VersionAt]}, this member {Version}");
        if (hello[LaneAt] > (byte)Lane.Bulk) throw PeerFrame.Refused($"lane {hello[LaneAt]}");
        if (!hello.AsSpan(ClusterAt, FromAt - ClusterAt).SequenceEqual(cluster.Span)) throw PeerFrame.Refused("it is of another cluster");
        var (from, to) = (new MemberId(BinaryPrimitives.ReadUInt64LittleEndian(hello.AsSpan(FromAt))), new MemberId(BinaryPrimitives.ReadUInt64LittleEndian(hello.AsSpan(ToAt))));
        if (to != self || from == self || from == MemberId.Nobody) throw PeerFrame.Refused($"{from} wants {to}, and this is {self}");
        var nonce = RandomNumberGenerator.GetBytes(NonceBytes);
        await stream.WriteAsync((byte[])[.. nonce, .. Proof(secret, "accept", hello, nonce)], ct).ConfigureAwait(false);
        await stream.FlushAsync(ct).ConfigureAwait(false);
        var proof = new byte[ProofBytes];
        await stream.ReadExactlyAsync(proof, ct).ConfigureAwait(false);
        return CryptographicOperations.FixedTimeEquals(proof, Proof(secret, "dial", hello, nonce)) ? (from, (Lane)hello[LaneAt]) : throw PeerFrame.Refused($"who calls itself {from} does not know the secret");
    }

    private static byte[] Proof(ReadOnlyMemory<byte> secret, string side, byte[] hello, ReadOnlyMemory<byte> nonce) =>
        HMACSHA256.HashData(secret.Span, [.. System.Text.Encoding.ASCII.GetBytes(side), .. hello, .. nonce.Span]);
}
