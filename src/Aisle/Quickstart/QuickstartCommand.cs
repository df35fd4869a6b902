using System.CommandLine;
using Aisle.Commands;

namespace Aisle.Quickstart;

public static class QuickstartCommand
{
    public static Command Create()
    {
        var keep = new Option<bool>("--keep") { Description = "Leave the data centre running at the end" };
        var quick = new Option<bool>("--quick") { Description = "Less data and fewer steps: at most a minute and a half" };
        var data = new Option<string?>("--data") { Description = "A folder or file of text; else the documentation that comes with the .NET SDK", HelpName = "PATH" };
        var dir = new Option<string?>("--dir") { Description = "An empty folder to work in, kept afterwards; else a temporary one", HelpName = "D" };
        var workers = new Option<int?>("--workers") { Description = "Workers for training (3)", HelpName = "N" }.AtLeast(2);
        return new Command("quickstart", "The whole story on this machine: store, prepare, train, lose a machine, prove, serve") { keep, quick, data, dir, workers }
            .Does((call, cancellationToken) => new WholeStory(
                new QuickstartOptions { Keep = call.Get(keep), Quick = call.Get(quick), Data = call.Get(data), Dir = call.Get(dir), Workers = call.Get(workers) ?? 3 },
                call.Screen, TimeProvider.System).RunAsync(cancellationToken));
    }
}

internal sealed record QuickstartOptions
{
    public bool Keep { get; init; }

    public bool Quick { get; init; }

    public string? Data { get; init; }

    public string? Dir { get; init; }

    /// <summary>At least 2: one of them is killed.</summary>
    public int Workers { get; init; } = 3;
}
