using System.Net;

namespace Aisle.Ledger.Transport;

/// <summary>How members find each other and know each other by TCP.</summary>
public sealed record TcpPeersOptions
{
    public required IPEndPoint Listen { get; init; }

    /// <summary>Where each member listens. This member's own may be among them.</summary>
    public required IReadOnlyDictionary<ulong, IPEndPoint> Addresses { get; init; }

    /// <summary>16 bytes or more that only members know.</summary>
    public required ReadOnlyMemory<byte> Secret
    {
        get;
        init => field = value.Length >= 16 ? value : throw new ArgumentException($"A secret of {value.Length} bytes can be guessed. Take 16 or more.", nameof(Secret));
    }

    /// <summary>Wraps each connection before anything is said on it: a place for TLS. Told whether this end accepted the connection. Null: as it is.</summary>
    public Func<Stream, bool, Task<Stream>>? Wrap { get; init; }

    /// <summary>A connection has this long to say who it is, and a frame that has begun to come to its end.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Told of each connection that was refused, and why: code and text for a log.</summary>
    public Action<AisleException>? Refused { get; init; }
}
