using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Aisle.Commands;

namespace Aisle.Launch;

/// <summary>
/// One copy of the user's program. Its input stays open and empty: the end of it, when this process closes it or is gone, tells the program to leave,
/// through whatever wrapper stands between.
/// </summary>
internal sealed class LaunchedWorker : IDisposable
{
    private const int MaxLineChars = 64 * 1024;
    private readonly Process _process;

    private LaunchedWorker(string name, Process process, Action<string, bool> line)
    {
        (Name, _process) = (name, process);
        Ended = RunAsync(line);
    }

    public string Name { get; }

    public int Pid => _process.Id;

    /// <summary>It was asked to go: its end is no loss.</summary>
    public bool IsLeaving { get; private set; }

    /// <summary>Its exit code, once it is gone and its last line was read.</summary>
    public Task<int> Ended { get; }

    /// <param name="folder">Where it starts; null for this process's own.</param>
    /// <param name="line">Takes each line that it prints, and whether it is talk (standard error).</param>
    /// <exception cref="WrongUsageException">AISLE-7060: there is no such program.</exception>
    public static LaunchedWorker Start(string name, IReadOnlyList<string> command, IEnumerable<KeyValuePair<string, string>> environment, Action<string, bool> line, string? folder = null)
    {
        var info = new ProcessStartInfo(command[0])
        {
            WorkingDirectory = folder ?? "",
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        foreach (var argument in command.Skip(1)) info.ArgumentList.Add(argument);
        foreach (var (variable, value) in environment) info.Environment[variable] = value;
        try
        {
            return new LaunchedWorker(name, Process.Start(info)!, line);
        }
        catch (Win32Exception e)
        {
            throw new WrongUsageException($"'{command[0]}' cannot be started: {e.Message}.", "Give the command as you would type it, behind `--`: aisle launch -n 4 -- dotnet run -c Release", "AISLE-7060", e);
        }
    }

    /// <summary>Asks it to leave.</summary>
    public void Leave()
    {
        IsLeaving = true;
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It is gone already.
        }
    }

    /// <summary>Ends it with everything that it started.</summary>
    public void Kill()
    {
        try
        {
            _process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It ended by itself.
        }
    }

    public void Dispose() => _process.Dispose();

    private async Task<int> RunAsync(Action<string, bool> line)
    {
        await Task.WhenAll(ReadAsync(_process.StandardOutput, isTalk: false), ReadAsync(_process.StandardError, isTalk: true));
        await _process.WaitForExitAsync();
        return _process.ExitCode;

        async Task ReadAsync(StreamReader from, bool isTalk)
        {
            while (await from.ReadLineAsync() is { } read) line(read.Length <= MaxLineChars ? read : read[..MaxLineChars], isTalk);
        }
    }
}
