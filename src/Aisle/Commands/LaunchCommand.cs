using System.CommandLine;
using System.Globalization;
using Aisle.Launch;
using Aisle.Pipelines;
using Aisle.Training.Programs;

namespace Aisle.Commands;

public static class LaunchCommand
{
    private static readonly Option<int?> Workers = new Option<int?>("--workers", "-n") { Description = "Copies to start (default 2); the model does not depend on it", HelpName = "N" }.AtLeast(1);
    private static readonly Option<int?> Restarts = new Option<int?>("--restarts") { Description = "Copies that die and are replaced, over the whole run (default 3)", HelpName = "N" }.AtLeast(0);
    private static readonly Option<string?> Elastic = new("--elastic") { Description = "Fewest and most copies; type a number and Enter while it runs to have that many", HelpName = "MIN..MAX" };
    private static readonly Option<string?> Audit = new("--audit") { Description = "The part of the work that a second copy checks: off, 1/64 (default), 0.25, …; the model does not depend on it", HelpName = "FRACTION" };
    private static readonly Option<string> Folder = new("--folder") { Description = "Where states and the model go", HelpName = "PATH", DefaultValueFactory = _ => "training" };
    private static readonly Option<bool> Fresh = new("--fresh") { Description = "Start anew, and forget what an earlier run left in the folder; otherwise it goes on from there" };
    private static readonly Argument<string[]> Program = new("COMMAND") { Description = "The program and its arguments, behind --; it calls TrainingProgram.RunAsync", Arity = ArgumentArity.OneOrMore };

    public static Command Create() => new Command(
        "launch", "Train a program of your own with several copies of it on this machine: aisle launch -n 4 -- dotnet run -c Release")
        { Workers, Restarts, Elastic, Audit, Folder, Fresh, Program }.Does(async (call, cancellationToken) =>
    {
        var workers = call.Get(Workers) ?? 2;
        var options = new LaunchOptions
        {
            Command = call.Get(Program),
            Workers = workers,
            Elastic = ReadElastic(call.Get(Elastic), workers),
            Restarts = call.Get(Restarts) ?? 3,
            Audit = ReadAudit(call.Get(Audit)),
            Folder = call.Get(Folder)!,
            Fresh = call.Get(Fresh),
        };
        var talk = call.Screen.Talk.Profile.Out.Writer;
        var isTerminal = call.Screen.Talk.Profile.Out.IsTerminal;
        using var folder = RunFolder.Open(options.Folder, options.Fresh);
        ProgressLines lines = null!;
        try
        {
            await using (var launcher = new Launcher(
                options, folder, steps => lines = new ProgressLines(talk, isTerminal, steps, TimeProvider.System),
                line => lines.Say(line, call.Json ? talk : Console.Out),
                worker =>
                {
                    if (call.Json) call.Screen.WriteJson(new LaunchView("started", worker.Name, worker.Pid), CommandJson.Default.LaunchView);
                },
                TimeProvider.System))
            {
                ListenForNumbers(launcher);
                await launcher.RunAsync(cancellationToken);
            }
        }
        catch (AisleException e) when (call.Json)
        {
            call.Screen.WriteJson(new LaunchView("finished", Ok: false, Folder: folder.Path, Error: e.Message), CommandJson.Default.LaunchView);
            throw;
        }
        if (call.Json) call.Screen.WriteJson(new LaunchView("finished", Ok: true, Model: folder.Model, Folder: folder.Path), CommandJson.Default.LaunchView);
        else ModelReport.Write(folder, Console.Out, talk);
        return ExitCode.Done;
    });

    private static (int Least, int Most) ReadElastic(string? text, int workers)
    {
        if (text is null) return (workers, workers);
        if (text.Split("..") is [var from, var to]
            && int.TryParse(from, NumberStyles.None, CultureInfo.InvariantCulture, out var least) && int.TryParse(to, NumberStyles.None, CultureInfo.InvariantCulture, out var most)
            && least >= 1 && most is <= 4096 && least <= workers && workers <= most)
        {
            return (least, most);
        }
        throw new WrongUsageException($"--elastic is '{text}', with {workers} workers to start with.", "Write the fewest and the most around them, such as --elastic 1..8.");
    }

    private static double? ReadAudit(string? text) =>
        text is null ? null
        : AuditFraction.TryParse(text, out var fraction) ? fraction!.Value
        : throw new WrongUsageException($"--audit is '{text}'.", $"Write {AuditFraction.Expected}.");

    private static void ListenForNumbers(Launcher launcher) => new Thread(() =>
    {
        try
        {
            while (Console.In.ReadLine() is { } line)
            {
                if (int.TryParse(line.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var workers)) launcher.Scale(workers);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // No input: nobody to type anything.
        }
    })
    {
        IsBackground = true,
        Name = "numbers typed",
    }.Start();
}
