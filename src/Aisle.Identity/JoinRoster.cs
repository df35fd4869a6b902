using System.Collections.Immutable;
using System.Security.Cryptography;
using Aisle.Artifacts;

namespace Aisle.Identity;

/// <summary>A token as the authority remembers it: never its secret.</summary>
public sealed record TokenRecord(string Id, Digest SecretHash, Role Role, DateTimeOffset ExpiresAt)
{
    public TokenUse? Use { get; init; }
}

/// <summary>The one time a token was used.</summary>
/// <param name="Request">SHA-256 of the certificate request: tells the same message sent again from another machine's.</param>
/// <param name="From">The address it came from, as the log shows it.</param>
public sealed record TokenUse(NodeId Node, Digest Request, DateTimeOffset At, string From);

/// <summary>A name that belongs to a key until its last certificate has expired.</summary>
/// <param name="Key">SHA-256 of the node's public key.</param>
public sealed record Enrolment(Role Role, Digest Key, DateTimeOffset Until);

/// <summary>What a machine asks for when it joins.</summary>
/// <param name="Request">SHA-256 of the certificate request.</param>
/// <param name="Key">SHA-256 of the public key in it.</param>
public sealed record JoinAttempt(string TokenId, string Secret, Role Role, NodeId Node, Digest Request, Digest Key, string From);

/// <summary>The rules of who may join. Immutable: each rule gives the next roster or a refusal; time and chance are inputs.</summary>
public sealed record JoinRoster(
    ImmutableDictionary<string, TokenRecord> Tokens, ImmutableDictionary<NodeId, Enrolment> Nodes, ImmutableSortedSet<NodeId> Denied, long DenyVersion)
{
    public const int MaxTokens = 1_000;
    public const int MaxNodes = 10_000;

    public static TimeSpan LongestTokenLife => TimeSpan.FromHours(24);

    /// <summary>How long a token is remembered after its end, so that a late use is told why it fails and the list shows who used it.</summary>
    public static TimeSpan Memory => TimeSpan.FromDays(7);

    public static JoinRoster Empty { get; } = new(ImmutableDictionary<string, TokenRecord>.Empty, ImmutableDictionary<NodeId, Enrolment>.Empty, [], 0);

    public DenyList DenyListOf(ClusterId cluster) => new(cluster, DenyVersion, Denied);

    /// <returns>AISLE-8019 for a life out of bounds, AISLE-8020 for too many tokens.</returns>
    public (JoinRoster Next, Refusal? Refusal) Offer(string id, Digest secretHash, Role role, TimeSpan life, DateTimeOffset now)
    {
        if (life <= TimeSpan.Zero || life > LongestTokenLife)
        {
            return (this, new("AISLE-8019", $"A join token cannot live for {life}.", "Choose more than nothing and at most 24 hours; one hour is usual."));
        }
        if (role is Role.Authority) return (this, new("AISLE-8015", "The authority's own role is not given away by a token.", "Make a token for a node."));
        var tokens = Tokens.RemoveRange(Tokens.Values.Where(token => token.ExpiresAt + Memory < now).Select(token => token.Id));
        if (tokens.Count >= MaxTokens) return (this, new("AISLE-8020", $"{tokens.Count} join tokens are remembered already.", "Wait until some have been expired for a week."));
        return (this with { Tokens = tokens.SetItem(id, new TokenRecord(id, secretHash, role, now + life)) }, null);
    }

    /// <summary>Uses a token up, if it is good for this attempt. What is refused leaves the token as it was.</summary>
    /// <returns>AISLE-8010 unknown, 8011 wrong secret, 8012 expired, 8013 used by another, 8014 the same message again, 8015 another role, 8016 the name is taken,
    /// 8018 denied.</returns>
    public (JoinRoster Next, Refusal? Refusal) Admit(JoinAttempt attempt, DateTimeOffset now, DateTimeOffset certificateEnd)
    {
        if (!Tokens.TryGetValue(attempt.TokenId, out var token)) return (this, new("AISLE-8010", $"No join token {Shown.Of(attempt.TokenId)} is known here.", "Make a new one on a node of the cluster."));
        if (!SameSecret(token, attempt.Secret)) return (this, new("AISLE-8011", $"The secret of join token {token.Id} is wrong.", "Copy the whole line again, or make a new token."));
        if (token.Use is { } use)
        {
            return (this, use.Request == attempt.Request
                ? new("AISLE-8014", $"This request with join token {token.Id} was answered before, at {use.At:u}.", "If its answer was lost, join again with a new token.")
                : new("AISLE-8013", $"Join token {token.Id} was used by {use.Node} at {use.At:u}.", "A token joins one machine: make a new one for each. If nobody of yours used it, deny that node."));
        }
        if (now >= token.ExpiresAt) return (this, new("AISLE-8012", $"Join token {token.Id} expired at {token.ExpiresAt:u}.", "Make a new one on a node of the cluster."));
        if (token.Role != attempt.Role) return (this, new("AISLE-8015", $"Join token {token.Id} is for a {token.Role.Text()}, not for a {attempt.Role.Text()}.", "Make a token for the right role."));
        if (Deniable(attempt.Node) is { } denied) return (this, denied);
        if (Nodes.TryGetValue(attempt.Node, out var holder) && holder.Key != attempt.Key && now <= holder.Until + CertificateLife.ClockTolerance)
        {
            return (this, new("AISLE-8016", $"The name {attempt.Node} belongs to another machine until {holder.Until:u}.", "Choose another name with --name."));
        }
        var next = Enrol(attempt.Node, attempt.Role, attempt.Key, now, certificateEnd);
        if (next is null) return (this, Full());
        return (next with { Tokens = Tokens.SetItem(token.Id, token with { Use = new TokenUse(attempt.Node, attempt.Request, now, attempt.From) }) }, null);
    }

    /// <summary>Gives a name a certificate without a token: the cluster's own first node, or a member that proved itself with a valid certificate.</summary>
    /// <returns>AISLE-8018 when the node is denied.</returns>
    public (JoinRoster Next, Refusal? Refusal) Renew(NodeId node, Role role, Digest key, DateTimeOffset now, DateTimeOffset certificateEnd)
    {
        if (Deniable(node) is { } denied) return (this, denied);
        return Enrol(node, role, key, now, certificateEnd) is { } next ? (next, null) : (this, Full());
    }

    public (JoinRoster Next, Refusal? Refusal) Deny(NodeId node)
    {
        if (Denied.Contains(node)) return (this, null);
        if (Denied.Count >= DenyList.MaxNodes) return (this, Full());
        return (this with { Denied = Denied.Add(node), DenyVersion = DenyVersion + 1 }, null);
    }

    public JoinRoster Allow(NodeId node) => Denied.Contains(node) ? this with { Denied = Denied.Remove(node), DenyVersion = DenyVersion + 1 } : this;

    private JoinRoster? Enrol(NodeId node, Role role, Digest key, DateTimeOffset now, DateTimeOffset until)
    {
        var nodes = Nodes.Count < MaxNodes ? Nodes : Nodes.RemoveRange(Nodes.Where(held => held.Value.Until + Memory < now).Select(held => held.Key));
        if (nodes.Count >= MaxNodes && !nodes.ContainsKey(node)) return null;
        return this with { Nodes = nodes.SetItem(node, new Enrolment(role, key, until)) };
    }

    private Refusal? Deniable(NodeId node) => Denied.Contains(node)
        ? new("AISLE-8018", $"{node} was denied by an operator.", "If it may come back, allow it again and join it with a new token.")
        : null;

    private static Refusal Full() => new("AISLE-8020", $"The cluster knows {MaxNodes} nodes already.", "Join fewer machines, or wait until the certificates of those that left have been expired for a week.");

    private static bool SameSecret(TokenRecord token, string secret)
    {
        Span<byte> kept = stackalloc byte[Digest.SizeBytes], shown = stackalloc byte[Digest.SizeBytes];
        token.SecretHash.CopyTo(kept);
        JoinToken.HashOf(secret).CopyTo(shown);
        return CryptographicOperations.FixedTimeEquals(kept, shown);
    }
}
