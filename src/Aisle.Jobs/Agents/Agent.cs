using System.Collections.Concurrent;
using System.Threading.Channels;

namespace Aisle.Jobs;

/// <summary>Where a node's processes come from and what they are told.</summary>
public sealed record AgentOptions
{
    public required string Node { get; init; }

    /// <summary>Program and leading arguments that run one job process: it reads a <see cref="ProcessStart"/> as its first line.</summary>
    public required IReadOnlyList<string> Command { get; init; }

    /// <summary>This node's own address, for its processes.</summary>
    public required Uri Server { get; init; }

    public required string Token { get; init; }

    /// <summary>Folder for processes' working files; what is there at the start is of no use any more.</summary>
    public required string Scratch { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>
/// Runs a node's share of the wanted processes. Level-triggered: told the whole set that shall run, it starts what is missing and kills what is
/// not wanted; told the same twice, it does nothing. A process that ended is not started again under its name. Safe to call from many threads.
/// </summary>
public sealed class Agent : IAsyncDisposable
{
    private readonly AgentOptions _options;
    private readonly ConcurrentDictionary<ProcessKey, AgentProcess> _processes = new();

    // Full means the first node has not taken reports for long: processes wait on their output rather than memory growing.
    private readonly Channel<ProcessEvent> _events = Channel.CreateBounded<ProcessEvent>(8192);
    private readonly SemaphoreSlim _changed = new(0, 1);

    public Agent(AgentOptions options)
    {
        _options = options;
        if (Directory.Exists(options.Scratch)) Directory.Delete(options.Scratch, recursive: true);
        Directory.CreateDirectory(options.Scratch);
    }

    public IReadOnlyList<ProcessView> Processes => [.. _processes.Values.Select(process => process.View)];

    /// <summary>Makes the running processes those of <paramref name="wanted"/>.</summary>
    public void Reconcile(IReadOnlyList<ProcessOrder> wanted)
    {
        var keys = wanted.Select(order => order.Key).ToHashSet();
        foreach (var (key, process) in _processes)
        {
            if (keys.Contains(key)) continue;
            process.Kill();
            if (process.View.ExitCode is not null && _processes.TryRemove(key, out _)) process.Dispose();
        }
        foreach (var order in wanted)
        {
            if (_processes.ContainsKey(order.Key)) continue;
            var scratch = Path.Combine(_options.Scratch, order.Job.ToString(), order.Process);
            Directory.CreateDirectory(scratch);
            var start = new ProcessStart(order, _options.Node, _options.Server, _options.Token, scratch);
            _processes[order.Key] = AgentProcess.Start(start, _options.Command, _options.Time, PublishAsync);
        }
    }

    /// <summary>Events so far, at most <paramref name="most"/>, oldest first; an event is given once.</summary>
    public IReadOnlyList<ProcessEvent> TakeEvents(int most)
    {
        var events = new List<ProcessEvent>();
        while (events.Count < most && _events.Reader.TryRead(out var e)) events.Add(e);
        return events;
    }

    /// <summary>Completes when something happened since the last call, or after <paramref name="patience"/>.</summary>
    public Task WaitForChangeAsync(TimeSpan patience, CancellationToken cancellationToken) => _changed.WaitAsync(patience, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes.Values) process.Kill();
        _events.Writer.TryComplete();
        foreach (var process in _processes.Values) await process.Ended.WaitAsync(TimeSpan.FromSeconds(5)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (var process in _processes.Values) process.Dispose();
        _changed.Dispose();
    }

    private async ValueTask PublishAsync(ProcessEvent e)
    {
        try
        {
            await _events.Writer.WriteAsync(e);
        }
        catch (ChannelClosedException)
        {
            return;
        }
        if (_changed.CurrentCount > 0) return;
        try
        {
            _changed.Release();
        }
        catch (Exception closing) when (closing is SemaphoreFullException or ObjectDisposedException)
        {
            // Another event woke the reporter already, or there is none any more.
        }
    }
}
