using System.Security.Cryptography;

namespace Aisle.Training.Wire;

/// <summary>
/// Both ends prove that they know the job's secret without sending it: each sends a fresh nonce and answers the other's with an HMAC. The
/// dialling end proves itself last, so an accepting end tells a stranger nothing but a MAC over a nonce of its own choosing.
/// </summary>
internal static class Handshake
{
    private const int NonceBytes = 32;
    private const int MacBytes = 32;
    private static ReadOnlySpan<byte> Greeting => "aisle-training-1"u8;

    /// <exception cref="AisleException">AISLE-5125: the other end does not know the secret, or is no part of Aisle.</exception>
    public static void Dial(Connection connection, ReadOnlySpan<byte> secret)
    {
        var nonce = RandomNumberGenerator.GetBytes(NonceBytes);
        connection.Send(FrameKind.Handshake, [.. Greeting, .. nonce]);
        var answer = Receive(connection, NonceBytes + MacBytes);
        var theirNonce = answer[..NonceBytes];
        if (!CryptographicOperations.FixedTimeEquals(answer.AsSpan(NonceBytes), Mac(secret, "accept", nonce, theirNonce))) throw Refused(connection);
        connection.Send(FrameKind.Handshake, Mac(secret, "dial", nonce, theirNonce));
    }

    /// <exception cref="AisleException">AISLE-5125: the other end does not know the secret, or is no part of Aisle.</exception>
    public static void Accept(Connection connection, ReadOnlySpan<byte> secret)
    {
        var greeting = Receive(connection, Greeting.Length + NonceBytes);
        if (!greeting.AsSpan().StartsWith(Greeting)) throw Refused(connection);
        var theirNonce = greeting[Greeting.Length..];
        var nonce = RandomNumberGenerator.GetBytes(NonceBytes);
        connection.Send(FrameKind.Handshake, [.. nonce, .. Mac(secret, "accept", theirNonce, nonce)]);
        var proof = Receive(connection, MacBytes);
        if (!CryptographicOperations.FixedTimeEquals(proof, Mac(secret, "dial", theirNonce, nonce))) throw Refused(connection);
    }

    private static byte[] Mac(ReadOnlySpan<byte> secret, string role, byte[] dialNonce, byte[] acceptNonce) =>
        HMACSHA256.HashData(secret, [.. System.Text.Encoding.ASCII.GetBytes(role), .. dialNonce, .. acceptNonce]);

    private static byte[] Receive(Connection connection, int bytes) =>
        connection.TryReceive(out var kind, out var body) && kind == FrameKind.Handshake && body.Length == bytes ? body.ToArray() : throw Refused(connection);

    private static AisleException Refused(Connection connection) => new(
        "AISLE-5125", $"{connection.Remote} does not know this job's secret.", "Start workers and coordinator with the same secret; if you did, another program uses the port.");
}
