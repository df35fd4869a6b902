using System.Text.RegularExpressions;

namespace Aisle.Identity;

/// <summary>A node's name inside its cluster: 1 to 63 lower-case letters, digits and inner hyphens, so that it can be a host name and a part of a URI.</summary>
public readonly partial record struct NodeId : IComparable<NodeId>
{
    private readonly string? _text;

    private NodeId(string text) => _text = text;

    /// <exception cref="AisleException">AISLE-8002: not a node's name.</exception>
    public static NodeId Parse(string text) => TryParse(text, out var id)
        ? id
        : throw new AisleException("AISLE-8002", $"'{Shown.Of(text)}' is not a node's name.", "Use 1 to 63 lower-case letters, digits and hyphens, with none of the hyphens at an end.");

    public static bool TryParse(string? text, out NodeId id)
    {
        var good = text is not null && Pattern.IsMatch(text);
        id = good ? new NodeId(text!) : default;
        return good;
    }

    public int CompareTo(NodeId other) => string.CompareOrdinal(ToString(), other.ToString());

    public override string ToString() => _text ?? "";

    public static bool operator <(NodeId left, NodeId right) => left.CompareTo(right) < 0;

    public static bool operator >(NodeId left, NodeId right) => left.CompareTo(right) > 0;

    public static bool operator <=(NodeId left, NodeId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(NodeId left, NodeId right) => left.CompareTo(right) >= 0;

    [GeneratedRegex(@"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z")]
    private static partial Regex Pattern { get; }
}
