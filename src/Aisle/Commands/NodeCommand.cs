using System.CommandLine;
using Aisle.Node;

namespace Aisle.Commands;

/// <summary>Started by <c>up</c>, not by people.</summary>
public static class NodeCommand
{
    public static Command Create() => new Command("node", "One node of a data centre; its configuration comes on standard input") { Hidden = true }
        .Does((_, cancellationToken) => NodeProcess.RunAsync(cancellationToken));
}
