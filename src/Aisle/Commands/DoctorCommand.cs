using System.CommandLine;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class DoctorCommand
{
    public static Command Create() => new Command("doctor", "What is wrong with this machine, each with its fix").Does(async (call, cancellationToken) =>
    {
        var findings = new List<FindingView>();
        await foreach (var finding in MachineChecks.RunAsync(call.Server, cancellationToken))
        {
            findings.Add(finding);
            if (!call.Json) Print(finding, call.Screen);
        }
        if (call.Json) call.Screen.WriteJson(findings, CommandJson.Default.IReadOnlyListFindingView);
        var wrong = findings.Count(finding => !finding.Ok);
        call.Screen.Say(wrong == 0 ? "All is well." : $"{wrong} of {findings.Count} checks found something wrong.");
        return wrong == 0 ? ExitCode.Done : ExitCode.Failed;
    });

    private static void Print(FindingView finding, Screen screen)
    {
        screen.WriteLine($"{(finding.Ok ? "ok   " : "wrong")}  {finding.Check,-12}  {finding.Found}");
        if (finding.Fix is not null) screen.WriteLine($"                     fix: {finding.Fix}");
    }
}
