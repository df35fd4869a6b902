using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Aisle.Jobs;

/// <summary>
/// One job process: started with its order on standard input, listened to on standard output (NDJSON messages) and standard error (its log).
/// Its standard input stays open: when this node dies, however it dies, the process reads end of file and ends too, so no orphan is left.
/// </summary>
internal sealed class AgentProcess : IDisposable
{
    /// <summary>Longest line taken from a process; the rest of a longer one is cut.</summary>
    private const int MaxLineChars = 64 * 1024;
    private const int LastWordsLines = 20;

    private readonly ProcessOrder _order;
    private readonly Process _process;
    private readonly TimeProvider _time;
    private readonly Func<ProcessEvent, ValueTask> _publish;
    private readonly Queue<string> _lastWords = new();
    private volatile Uri? _url;
    private volatile Tuple<int>? _exitCode;

    private AgentProcess(ProcessOrder order, Process process, TimeProvider time, Func<ProcessEvent, ValueTask> publish)
    {
        _order = order;
        _process = process;
        _time = time;
        _publish = publish;
        Pid = process.Id;
        Ended = RunAsync();
    }

    public int Pid { get; }

    /// <summary>Completes when the process is gone and its last line was read.</summary>
    public Task Ended { get; }

    public ProcessView View => new(_order.Job, _order.Process, Pid, _url, _exitCode?.Item1);

    public static AgentProcess Start(ProcessStart start, IReadOnlyList<string> command, TimeProvider time, Func<ProcessEvent, ValueTask> publish)
    {
        var info = new ProcessStartInfo(command[0])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = start.Scratch,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
            StandardInputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false),
        };
        foreach (var argument in command.Skip(1)) info.ArgumentList.Add(argument);
        var process = Process.Start(info) ?? throw new AisleException("AISLE-3010", $"{command[0]} did not start.", "Run `aisle doctor` on this node.");
        var running = new AgentProcess(start.Order, process, time, publish);
        try
        {
            process.StandardInput.WriteLine(JsonSerializer.Serialize(start, JobsJson.Default.ProcessStart));
            process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // It died before it read its order; its end is reported like any other.
        }
        return running;
    }

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

    private async Task RunAsync()
    {
        await Task.WhenAll(ReadMessagesAsync(), ReadLogAsync());
        await _process.WaitForExitAsync();
        _exitCode = Tuple.Create(_process.ExitCode);
        string? lastWords;
        lock (_lastWords) lastWords = _lastWords.Count == 0 ? null : string.Join('\n', _lastWords);
        await _publish(new ProcessEvent(_order.Job, _order.Process, _time.GetUtcNow(), Message: null, _process.ExitCode, lastWords));
    }

    private async Task ReadMessagesAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            var message = Parse(line);
            if (message.Type == "ready") _url = message.Url;
            await _publish(new ProcessEvent(_order.Job, _order.Process, _time.GetUtcNow(), message));
        }
    }

    private async Task ReadLogAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            if (line.Length > MaxLineChars) line = line[..MaxLineChars];
            lock (_lastWords)
            {
                _lastWords.Enqueue(line);
                if (_lastWords.Count > LastWordsLines) _lastWords.Dequeue();
            }
            await _publish(new ProcessEvent(_order.Job, _order.Process, _time.GetUtcNow(), new ProcessMessage { Type = "log", Text = line }));
        }
    }

    // A library that prints to standard output is not an error: what is no message is a log line.
    private static ProcessMessage Parse(string line)
    {
        if (line.Length <= MaxLineChars && line.StartsWith('{'))
        {
            try
            {
                if (JsonSerializer.Deserialize(line, JobsJson.Default.ProcessMessage) is { } message) return message;
            }
            catch (JsonException)
            {
            }
        }
        return new ProcessMessage { Type = "log", Text = line.Length <= MaxLineChars ? line : line[..MaxLineChars] };
    }
}
