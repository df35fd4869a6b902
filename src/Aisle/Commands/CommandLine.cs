using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Runtime.InteropServices;
using Aisle.Terminal;

namespace Aisle.Commands;

/// <summary>The root of every command: parses, runs one, and turns what went wrong into words and an exit code.</summary>
public static class CommandLine
{
    public static Option<bool> Json { get; } = new("--json") { Description = "Data as JSON on stdout: one document, or one a line for streams", Recursive = true };

    public static Option<string?> Server { get; } = new("--server")
    {
        Description = "The data centre's address; else AISLE_SERVER, else the one last started here", HelpName = "URL", Recursive = true,
    };

    // '@' starts a response file elsewhere; here it belongs to names: @production.
    private static readonly ParserConfiguration s_parsing = new() { ResponseFileTokenReplacer = null };

    /// <summary>Runs as a process: Ctrl-C and SIGTERM cancel, the command cleans up, and a second Ctrl-C ends at once.</summary>
    public static async Task<int> RunAsync(IEnumerable<Command> commands, string[] args)
    {
        using var stop = new CancellationTokenSource();
        void OnSignal(PosixSignalContext signal)
        {
            signal.Cancel = true;
            if (stop.IsCancellationRequested && signal.Signal == PosixSignal.SIGINT) Environment.Exit(ExitCode.Interrupted);
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        return await RunAsync(commands, args, Console.Out, Console.Error, stop.Token);
    }

    /// <returns>An <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(
        IEnumerable<Command> commands, IReadOnlyList<string> args, TextWriter output, TextWriter error, CancellationToken cancellationToken)
    {
        var root = Root(commands);
        var parsed = root.Parse(args, s_parsing);
        var screen = Screen.On(output, error, parsed.GetValue(Json));
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction)
        {
            if (args.Count == 0) return Help(root, error);
            screen.Error(new WrongUsageException(
                string.Join(" ", parsed.Errors.Select(e => e.Message).Distinct()), $"See `aisle {Path(parsed, root)}--help`."));
            return ExitCode.WrongUsage;
        }
        return await parsed.InvokeAsync(new Invoking(screen) { Output = output, Error = error }, cancellationToken);
    }

    /// <summary>Gives a command its body. The body prints through the call's screen and returns an exit code; what it throws is printed here.</summary>
    public static Command Does(this Command command, Func<Call, CancellationToken, Task<int>> body)
    {
        command.SetAction((parsed, cancellationToken) => GuardAsync(new Call(parsed, ((Invoking)parsed.InvocationConfiguration).Screen), body, cancellationToken));
        return command;
    }

    private static RootCommand Root(IEnumerable<Command> commands)
    {
        var root = new RootCommand("An AI data centre in one program: stores data, prepares it, trains models on many machines, serves them.") { Json, Server };
        foreach (var command in commands) root.Add(command);
        return root;
    }

    private static int Help(RootCommand root, TextWriter error)
    {
        root.Parse(["--help"], s_parsing).Invoke(new InvocationConfiguration { Output = error, Error = error });
        return ExitCode.WrongUsage;
    }

    private static async Task<int> GuardAsync(Call call, Func<Call, CancellationToken, Task<int>> body, CancellationToken cancellationToken)
    {
        try
        {
            return await body(call, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return ExitCode.Interrupted;
        }
        catch (AisleException e)
        {
            call.Screen.Error(e);
            return ExitCode.For(e);
        }
        catch (IOException e) when (e.HResult == BrokenPipe)
        {
            // `aisle jobs | head`: the reader has what it wanted.
            return ExitCode.Done;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            call.Screen.Error(new AisleException("AISLE-7052", e.Message, "Check the path, its permissions and the free space, then try again.", e));
            return ExitCode.Failed;
        }
        catch (Exception e)
        {
            call.Screen.Error(new AisleException("AISLE-7059", $"This should not have happened: {e.GetType().Name}: {e.Message}", $"Please report it with what follows.\n{e.StackTrace}", e));
            return ExitCode.Failed;
        }
    }

    private const int BrokenPipe = 32; // EPIPE

    private static string Path(ParseResult parsed, RootCommand root) =>
        parsed.CommandResult.Command == root ? "" : parsed.CommandResult.Command.Name + " ";

    private sealed class Invoking : InvocationConfiguration
    {
        public Invoking(Screen screen)
        {
            Screen = screen;
            EnableDefaultExceptionHandler = false;
            ProcessTerminationTimeout = null; // Signals are ours: a command may need longer than two seconds to clean up.
        }

        public Screen Screen { get; }
    }
}
