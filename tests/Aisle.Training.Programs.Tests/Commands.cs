using System.Diagnostics;
using System.Text;

// Each test starts several processes; one test at a time is enough for a machine.
[assembly: CollectionBehavior(CollectionBehavior.CollectionPerAssembly)]
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]

namespace Aisle.Training.Programs.Tests;

/// <summary>A program started as a user would start it, and what it said.</summary>
internal sealed class Running : IDisposable
{
    private readonly StringBuilder _output = new(), _talk = new();
    private readonly List<(string Words, TaskCompletionSource Seen)> _waiters = [];

    public Running(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, program))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        Process = Process.Start(start)!;
        Ended = Task.WhenAll(ReadAsync(Process.StandardOutput, _output), ReadAsync(Process.StandardError, _talk), Process.WaitForExitAsync());
    }

    public Process Process { get; }

    public Task Ended { get; }

    public string Output => Text(_output);

    public string Talk => Text(_talk);

    /// <summary>The digest that the run printed as its result.</summary>
    public string Model => Output.Split('\n').Select(line => line.Split("model  ")).Single(parts => parts is ["", _])[1];

    public static async Task<Running> ToEndAsync(string program, params string[] arguments)
    {
        var running = new Running(program, arguments);
        await running.EndAsync();
        return running;
    }

    public async Task EndAsync()
    {
        if (await Task.WhenAny(Ended, Task.Delay(TimeSpan.FromSeconds(120))) != Ended) throw new TimeoutException($"{Process.StartInfo.FileName} does not end.\n{Output}\n{Talk}");
        await Ended;
    }

    /// <summary>Waits until the program has said these words, on whichever of its two outputs.</summary>
    public async Task SaidAsync(string words)
    {
        var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_waiters)
        {
            if (Output.Contains(words, StringComparison.Ordinal) || Talk.Contains(words, StringComparison.Ordinal)) return;
            _waiters.Add((words, seen));
        }
        if (await Task.WhenAny(seen.Task, Ended, Task.Delay(TimeSpan.FromSeconds(120))) != seen.Task) throw new TimeoutException($"'{words}' was never said.\n{Output}\n{Talk}");
    }

    public void Dispose()
    {
        if (!Process.HasExited) Process.Kill(entireProcessTree: true);
        Process.Dispose();
    }

    private async Task ReadAsync(StreamReader from, StringBuilder into)
    {
        while (await from.ReadLineAsync() is { } line)
        {
            lock (_waiters)
            {
                lock (into) into.Append(line).Append('\n');
                foreach (var (words, seen) in _waiters)
                {
                    if (line.Contains(words, StringComparison.Ordinal)) seen.TrySetResult();
                }
            }
        }
    }

    private static string Text(StringBuilder said)
    {
        lock (said) return said.ToString();
    }
}

/// <summary>A folder that ends with its test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("aisle-programs-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>Waits until a file is there with these words in it.</summary>
    public async Task AppearsAsync(string name, string containing)
    {
        var deadline = DateTime.UtcNow.AddSeconds(120);
        while (!(File.Exists(this[name]) && (await File.ReadAllTextAsync(this[name])).Contains(containing, StringComparison.Ordinal)))
        {
            if (DateTime.UtcNow > deadline) throw new TimeoutException($"{this[name]} never had {containing}.");
            await Task.Delay(5);
        }
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
