using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Aisle.Api;
using Aisle.Node;

namespace Aisle.Quickstart;

/// <summary>
/// <c>aisle up</c> as a child of this process, as a user would start it. Unless it is to be left running, this side holds the child's standard input:
/// should this process end, however it does, the child sees end of file and stops everything that it started.
/// </summary>
internal sealed partial class UpProcess : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);
    private const int Terminate = 15;
    private readonly Process _process;
    private readonly bool _stays;
    private readonly Task _listening;
    private string _lastError = "";
    private bool _left;

    private UpProcess(Process process, bool stays)
    {
        _process = process;
        _stays = stays;
        if (stays) process.StandardInput.Close();
        _listening = KeepLastErrorAsync();
    }

    public int Pid => _process.Id;

    /// <param name="home">The folder of the user's Aisle files for that process; null for the user's own.</param>
    /// <param name="stays">It may outlive this process: see <see cref="LeaveRunning"/>.</param>
    public static UpProcess Start(string dir, int nodes, string? home, bool stays)
    {
        var info = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        string[] arguments = [.. NodeProcess.SelfArguments(), "up", "--nodes", $"{nodes}", "--dir", dir, "--port", "0", "--json", .. stays ? (string[])[] : ["--with-parent"]];
        foreach (var argument in arguments) info.ArgumentList.Add(argument);
        if (home is not null) info.Environment["AISLE_HOME"] = home;
        return new UpProcess(Process.Start(info) ?? throw new AisleException("AISLE-7073", "`aisle up` did not start.", "Run `aisle doctor`."), stays);
    }

    /// <summary>The one line that it prints when it is ready.</summary>
    /// <exception cref="AisleException">What it said when it could not start; AISLE-7073 where that was nothing.</exception>
    public async Task<string> ReadyAsync(CancellationToken cancellationToken)
    {
        if (await _process.StandardOutput.ReadLineAsync(cancellationToken) is { } line) return line;
        await _process.WaitForExitAsync(cancellationToken);
        await _listening;
        throw Said(_lastError) ?? new AisleException("AISLE-7073", $"`aisle up` ended with exit code {_process.ExitCode} before it was ready. {_lastError}".TrimEnd(), "Run `aisle doctor`.");
    }

    /// <summary>Lets go of it: it goes on until somebody ends it.</summary>
    public void LeaveRunning() => _left = true;

    /// <summary>Stops it and everything it started, and waits until it is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_left)
        {
            _process.Dispose();
            return;
        }
        AskToStop();
        using var patience = new CancellationTokenSource(s_patience);
        try
        {
            await _process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync(CancellationToken.None);
        }
        await _listening;
        _process.Dispose();
    }

    private void AskToStop()
    {
        if (_stays)
        {
            if (!_process.HasExited) _ = SendSignal(_process.Id, Terminate);
            return;
        }
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It is gone already.
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int SendSignal(int pid, int signal);

    private static AisleException? Said(string line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, ApiJson.Default.ErrorEnvelope) is { Error: { Code: not null } error } ? new AisleException(error.Code, error.What, error.Next) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private async Task KeepLastErrorAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
            if (line.Length > 0) _lastError = line;
    }
}
