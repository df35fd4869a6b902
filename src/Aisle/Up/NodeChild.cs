using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Aisle.Api;
using Aisle.Node;

namespace Aisle.Up;

/// <summary>One node process that is kept running over its folder.</summary>
internal sealed class NodeChild(NodeConfig config, string logFile, Action<string> say)
{
    private const long MaxLogBytes = 16 << 20;
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(10);
    private NodeConfig _config = config;
    private Process? _process;
    private Task _log = Task.CompletedTask;

    public string Dir => _config.Dir;

    /// <summary>Starts the process and returns what it said once it serves.</summary>
    /// <exception cref="AisleException">The node's own error, such as a taken port or a damaged ledger.</exception>
    public async Task<NodeReady> StartAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(_config.Dir);
        Directory.CreateDirectory(Path.GetDirectoryName(logFile)!);
        var info = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            StandardInputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false),
        };
        foreach (var argument in NodeProcess.SelfArguments()) info.ArgumentList.Add(argument);
        info.ArgumentList.Add("node");
        var process = _process = Process.Start(info) ?? throw new AisleException("AISLE-7034", "The node's process did not start.", "Run `aisle doctor`.");
        _log = KeepLogAsync(process);
        await process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(_config, NodeJson.Default.NodeConfig));
        await process.StandardInput.FlushAsync(cancellationToken);

        var line = await process.StandardOutput.ReadLineAsync(cancellationToken);
        if (line is not null && line.Contains("\"error\"", StringComparison.Ordinal)
            && JsonSerializer.Deserialize(line, ApiJson.Default.ErrorEnvelope) is { Error: { } error })
            throw new AisleException(error.Code, error.What, error.Next);
        if (line is null || JsonSerializer.Deserialize(line, NodeJson.Default.NodeReady) is not { } ready)
        {
            await _log;
            throw new AisleException("AISLE-7035", $"{_config.Name} ended before it served.", $"Look at the end of {logFile}.");
        }
        // A restarted node answers at its old address, so clients and peers find it again.
        _config = _config with { Listen = ready.Url };
        _ = DrainAsync(process);
        return ready;
    }

    public async Task KeepRunningAsync(CancellationToken cancellationToken)
    {
        var pause = TimeSpan.Zero;
        while (true)
        {
            var lived = Stopwatch.StartNew();
            await _process!.WaitForExitAsync(cancellationToken);
            var code = _process.ExitCode;
            // A node that lived for a while is started at once; one that dies at once is given more and more time.
            pause = lived.Elapsed > LongestPause ? TimeSpan.Zero : Min(LongestPause, pause + pause + TimeSpan.FromMilliseconds(200));
            say($"{_config.Name} (pid {_process.Id}) {(code > 128 ? $"was killed by signal {code - 128}" : $"ended with exit code {code}")}; starting it again");
            await Task.Delay(pause, cancellationToken);
            try
            {
                var ready = await StartAsync(cancellationToken);
                say($"{ready.Name} is back (pid {ready.Pid})");
            }
            catch (AisleException e)
            {
                say($"{_config.Name} did not come back: {e.Message}");
            }
        }
    }

    /// <summary>Ends the process: its standard input ends, and if that is not enough it is killed.</summary>
    public async Task StopAsync()
    {
        if (_process is not { } process) return;
        try
        {
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It is gone already.
        }
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(CancellationToken.None);
        }
        await _log;
        process.Dispose();
        _process = null;
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private async Task KeepLogAsync(Process process)
    {
        if (File.Exists(logFile) && new FileInfo(logFile).Length > MaxLogBytes) File.Move(logFile, logFile + ".1", overwrite: true);
        await using var log = new StreamWriter(logFile, append: true) { AutoFlush = true };
        while (await process.StandardError.ReadLineAsync() is { } line) await log.WriteLineAsync(line);
    }

    private static async Task DrainAsync(Process process)
    {
        try
        {
            while (await process.StandardOutput.ReadLineAsync() is not null)
            {
            }
        }
        catch (Exception e) when (e is ObjectDisposedException or InvalidOperationException)
        {
            // Stopped meanwhile.
        }
    }
}
