namespace Aisle.Identity;

/// <summary>What a certificate entitles its holder to be.</summary>
public enum Role
{
    /// <summary>A machine of the cluster: it may speak with the others.</summary>
    Node,

    /// <summary>Work of a tenant: it never passes for a node.</summary>
    Workload,

    /// <summary>The place that admits nodes. Only it is told a join token's secret, so that no ordinary node can collect them.</summary>
    Authority,
}

internal static class RoleText
{
    public static string Text(this Role role) => role switch
    {
        Role.Node => "node",
        Role.Workload => "workload",
        Role.Authority => "authority",
        _ => throw new ArgumentOutOfRangeException(nameof(role), role, "Not a role."),
    };

    public static bool TryParse(string? text, out Role role)
    {
        (var known, role) = text switch
        {
            "node" => (true, Role.Node),
            "workload" => (true, Role.Workload),
            "authority" => (true, Role.Authority),
            _ => (false, default),
        };
        return known;
    }
}
