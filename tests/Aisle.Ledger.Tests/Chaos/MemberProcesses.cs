using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Aisle.Ledger.Tests.Chaos;

/// <summary>Members of one cluster, each a real process with its own directory and ports.</summary>
internal sealed partial class MemberProcesses : IDisposable
{
    private const int SigCont = 18, SigStop = 19;

    private readonly TemporaryDirectory _directory = new();
    private readonly Process?[] _processes;
    private readonly int[] _ports;   // peers', then clients'

    public MemberProcesses(int count)
    {
        _processes = new Process?[count + 1];
        var held = Enumerable.Range(0, 2 * count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        foreach (var listener in held) listener.Start();
        _ports = [.. held.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        foreach (var listener in held) listener.Dispose();
    }

    public int Count => _processes.Length - 1;

    public int ClientPort(int member) => _ports[Count + member - 1];

    public int PeerPort(int member) => _ports[member - 1];

    public string DirectoryOf(int member) => Path.Combine(_directory.Path, $"m{member}");

    public bool Runs(int member) => _processes[member] is { HasExited: false };

    /// <summary>Starts one, without waiting for it.</summary>
    public void Start(int member)
    {
        _processes[member]?.Dispose();
        var process = Process.Start(new ProcessStartInfo("dotnet",
        [
            Path.Combine(AppContext.BaseDirectory, "Aisle.Ledger.Tests.Member.dll"), DirectoryOf(member), $"{member}", $"{ClientPort(member)}",
            .. Enumerable.Range(1, Count).Select(other => $"127.0.0.1:{PeerPort(other)}"),
        ])
        {
            RedirectStandardInput = true,   // it ends when this process does
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is not null) lock (Errors) Errors.Add($"m{member}: {line.Data}");
        };
        process.BeginErrorReadLine();
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        _processes[member] = process;
    }

    public List<string> Errors { get; } = [];

    public void Kill(int member)
    {
        if (_processes[member] is not { } process) return;
        process.Kill();
        process.WaitForExit();
    }

    public async Task<int> ExitAsync(int member, CancellationToken ct)
    {
        await _processes[member]!.WaitForExitAsync(ct);
        return _processes[member]!.ExitCode;
    }

    public void Stop(int member) => Signal(_processes[member]!.Id, SigStop);

    public void Continue(int member) => Signal(_processes[member]!.Id, SigCont);

    public void Dispose()
    {
        foreach (var process in _processes)
        {
            if (process is null) continue;
            if (!process.HasExited) process.Kill();
            process.WaitForExit();
            process.Dispose();
        }
        _directory.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int process, int signal);
}
