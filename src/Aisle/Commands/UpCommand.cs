using System.CommandLine;
using System.Text.Json.Serialization;
using Aisle.Api;
using Aisle.Up;
using Spectre.Console;

namespace Aisle.Commands;

public static class UpCommand
{
    private static readonly Option<int> Nodes = new("--nodes") { Description = "Node processes to start on this machine", DefaultValueFactory = _ => 3 };
    private static readonly Option<string?> Dir = new("--dir") { Description = "Folder of the data centre; ~/.aisle/data unless given", HelpName = "DIR" };
    private static readonly Option<int> Port = new("--port") { Description = "Port of the API on loopback; 0 takes a free one", DefaultValueFactory = _ => 7070 };

    // Not by default: a service manager's or script's input is at its end from the start.
    private static readonly Option<bool> WithParent = new("--with-parent") { Description = "Stop when standard input ends", Hidden = true };

    public static Command Create() => new Command("up", "Start a data centre here and keep it running until Ctrl-C") { Nodes, Dir, Port, WithParent }.Does(async (call, cancellationToken) =>
    {
        var options = new UpOptions { Nodes = call.Get(Nodes), Port = call.Get(Port), Dir = call.Get(Dir) ?? Path.Combine(ServerLocation.Home, "data") };
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        if (call.Get(WithParent)) StopAtEndOfInput(stop);

        var (supervisor, ready) = await Supervisor.StartAsync(options, line => AnsiConsoleExtensions.WriteLine(call.Screen.Talk, line), stop.Token);
        await using (supervisor)
        {
            if (call.Json)
            {
                call.Screen.WriteJson(ready, UpJson.Default.UpReady);
            }
            else
            {
                call.Screen.WriteLine($"Aisle is up at {ready.Url} with {ready.Nodes.Count} nodes in {ready.Dir}");
                call.Screen.WriteLine($"token      {ready.TokenFile} (this user's commands find it by themselves)");
                call.Screen.WriteLine("next       aisle status · aisle put data/text FOLDER · aisle run SPEC.yaml -f");
                call.Screen.WriteLine("Ctrl-C stops it; what is stored stays.");
            }
            try
            {
                await supervisor.RunAsync(stop.Token);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                // Told to stop: that is how this command ends.
            }
        }
        return ExitCode.Done;
    });

    private static void StopAtEndOfInput(CancellationTokenSource stop) => new Thread(() =>
    {
        try
        {
            while (Console.In.ReadLine() is not null)
            {
            }
            stop.Cancel();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Stopped meanwhile.
        }
    })
    {
        IsBackground = true,
        Name = "end of input",
    }.Start();
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(UpReady))]
internal sealed partial class UpJson : JsonSerializerContext;
