using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Threading.Channels;

namespace Aisle.Benchmarks;

/// <summary>A process of a benchmark, spoken to in lines. It is killed with all its children when disposed. Speak from one place at a time.</summary>
internal sealed class ChildProcess : IDisposable
{
    private static readonly TimeSpan s_longestEnd = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_longestSilence = TimeSpan.FromMinutes(3);
    private static readonly ConcurrentDictionary<ChildProcess, Process> s_alive = [];
    private readonly Process _process;
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>(); // bounded by what a child says: a line a step or a turn
    private readonly StringBuilder _errors = new(); // also the lock of itself

    static ChildProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        // Ended from outside, by Ctrl-C or SIGTERM: nothing disposes, and nothing may stay behind.
        foreach (var process in s_alive.Values) process.Kill(entireProcessTree: true);
    };

    private ChildProcess(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, said) =>
        {
            if (said.Data is null) _lines.Writer.TryComplete();
            else _lines.Writer.TryWrite(said.Data);
        };
        _process.ErrorDataReceived += (_, said) =>
        {
            lock (_errors) _errors.AppendLine(said.Data);
        };
        _process.Start();
        s_alive[this] = _process;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>This program in another role.</summary>
    public static ChildProcess Ours(params IEnumerable<string> arguments) => new(Environment.ProcessPath!, arguments, new Dictionary<string, string>());

    /// <summary>A peer's program.</summary>
    public static ChildProcess Of(string program, params IEnumerable<string> arguments) => new(program, arguments, new Dictionary<string, string>());

    /// <summary>A peer's script, on one thread: our ranks compute on one too.</summary>
    public static ChildProcess Python(params IEnumerable<string> arguments) => new(TorchPeer.Python, arguments, TorchPeer.Environment);

    /// <summary>What a program says until it ends; null when it fails.</summary>
    public static async Task<string?> OutputOfAsync(string program, params IEnumerable<string> arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await errors;
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : null;
    }

    /// <summary>Installs a peer's packages, where that can be done.</summary>
    /// <param name="packages">Names, parted by blanks.</param>
    public static async Task InstallAsync(string packages)
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/apt-get")) return;
        Console.Error.WriteLine($"Installing the peer: apt-get install {packages}");
        await OutputOfAsync("/bin/sh", "-c", $"apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends {packages}");
    }

    public static string Script(string name) => Path.Combine(AppContext.BaseDirectory, "peers", name);

    public bool HasEnded => _process.HasExited;

    /// <summary>Used so far, user and kernel.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>What it said on standard error.</summary>
    public string Errors
    {
        get
        {
            lock (_errors) return _errors.ToString();
        }
    }

    public void Say(string line)
    {
        _process.StandardInput.WriteLine(line);
        _process.StandardInput.Flush();
    }

    /// <summary>Its next line.</summary>
    /// <exception cref="BenchmarkFailedException">It ended, or said nothing for three minutes.</exception>
    public async Task<string> HearAsync()
    {
        using var patience = new CancellationTokenSource(s_longestSilence);
        try
        {
            return await _lines.Reader.ReadAsync(patience.Token);
        }
        catch (Exception e) when (e is ChannelClosedException or OperationCanceledException)
        {
            throw new BenchmarkFailedException(
                $"{_process.StartInfo.FileName} {string.Join(' ', _process.StartInfo.ArgumentList.Take(2))} {(e is ChannelClosedException ? "ended" : "fell silent")}: {Errors}");
        }
    }

    /// <summary>SIGKILL to it alone: it gets no chance to say anything.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Lets it end by itself at the end of its input; whoever launches ranks then cleans up after them.</summary>
    public void LetEnd()
    {
        _process.StandardInput.Close();
        _process.WaitForExit(s_longestEnd);
    }

    public void Dispose()
    {
        s_alive.TryRemove(this, out _);
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
    }
}
