using Aisle.Api;
using Spectre.Console;

namespace Aisle.Terminal;

/// <summary>Shows a run while it happens: a live tree on a terminal, lines elsewhere. One at a time on a console.</summary>
public sealed class RunView(IAnsiConsole console, RunProgress run, TimeProvider time)
{
    private static readonly TimeSpan s_beat = TimeSpan.FromMilliseconds(125);
    private readonly RunLines _lines = new(run);

    /// <summary>No log lines, placements and checkpoints.</summary>
    public bool IsBrief { get; init; }

    /// <summary>Columns to the left of everything shown.</summary>
    public int Indent { get; init; }

    /// <summary>Returns after the last event.</summary>
    /// <param name="seen">Called with each event after it is counted, before it is shown.</param>
    public async Task ShowAsync(IAsyncEnumerable<JobEvent> events, Func<JobEvent, Task>? seen, CancellationToken cancellationToken)
    {
        if (!console.Profile.Capabilities.Interactive || !console.Profile.Capabilities.Ansi)
        {
            await foreach (var e in events.WithCancellation(cancellationToken))
            {
                var line = await HeardAsync(e, seen, live: false);
                if (line is not null) console.WriteStaying(line, Indent);
            }
            return;
        }
        await console.Live(Draw()).StartAsync(live => AnimateAsync(live, events, seen, cancellationToken));
    }

    private async Task AnimateAsync(LiveDisplayContext live, IAsyncEnumerable<JobEvent> events, Func<JobEvent, Task>? seen, CancellationToken cancellationToken)
    {
        await using var enumerator = events.GetAsyncEnumerator(cancellationToken);
        var next = enumerator.MoveNextAsync().AsTask();
        var drawn = time.GetTimestamp();
        while (true)
        {
            if (!next.IsCompleted) await Task.WhenAny(next, Task.Delay(s_beat, time, cancellationToken));
            if (next.IsCompleted)
            {
                if (!await next) break;
                var line = await HeardAsync(enumerator.Current, seen, live: true);
                if (line is not null) console.WriteStaying(line, Indent, new Style(Color.Grey));
                next = enumerator.MoveNextAsync().AsTask();
            }
            // Events may come by the hundred: draw at the pace of the eye.
            if (time.GetElapsedTime(drawn) < s_beat) continue;
            live.UpdateTarget(Draw());
            drawn = time.GetTimestamp();
        }
        live.UpdateTarget(Draw());
    }

    private Indented Draw() => new(RunTree.Draw(run, time.GetUtcNow()), Indent);

    private async Task<string?> HeardAsync(JobEvent e, Func<JobEvent, Task>? seen, bool live)
    {
        var job = run.Apply(e, time.GetUtcNow());
        if (seen is not null) await seen(e);
        if (IsBrief && (e.Event is "log" or "checkpoint" || (e.Event == "state" && e.Worker is not null))) return null;
        // The tree tells ends and progress by itself; what passes is told in lines above it.
        return !live ? _lines.Line(e, job, time.GetUtcNow()) : e.Event is "finished" or "checkpoint" ? null : _lines.Notable(e, job);
    }
}
