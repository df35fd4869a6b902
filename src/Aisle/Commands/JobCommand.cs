using System.CommandLine;
using Aisle.Work;

namespace Aisle.Commands;

/// <summary>Started by a node, not by people.</summary>
public static class JobCommand
{
    public static Command Create() => new Command("job", "One process of a job; its order comes on standard input") { Hidden = true }
        .Does((_, cancellationToken) => JobProcess.RunAsync(cancellationToken));
}
