using Aisle.Artifacts;
using Spectre.Console;

namespace Aisle.Terminal;

/// <summary>A bar with rate and time left under a transfer that lasts longer than a second, on a terminal only.</summary>
public sealed class TransferBar : IProgress<TransferProgress>
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_beat = TimeSpan.FromMilliseconds(100);
    private readonly Lock _gate = new(); // guards _newest: transfers report from any thread
    private readonly Pace _pace = new();
    private TransferProgress _newest;

    public static Task<T> RunAsync<T>(Screen screen, string verb, TimeProvider time, Func<IProgress<TransferProgress>, Task<T>> transfer) =>
        RunAsync(screen.Json ? null : screen.Talk, verb, time, transfer);

    /// <param name="console">Where the bar is drawn when it is a terminal; null for none.</param>
    public static async Task<T> RunAsync<T>(IAnsiConsole? console, string verb, TimeProvider time, Func<IProgress<TransferProgress>, Task<T>> transfer)
    {
        var bar = new TransferBar();
        var work = transfer(bar);
        if (console?.Profile.Capabilities.Interactive != true) return await work;
        await Task.WhenAny(work, Task.Delay(s_patience, time, CancellationToken.None));
        if (!work.IsCompleted)
        {
            await console.Live(bar.Draw(verb, time.GetUtcNow())).AutoClear(true).StartAsync(async live =>
            {
                while (!work.IsCompleted)
                {
                    await Task.WhenAny(work, Task.Delay(s_beat, time, CancellationToken.None));
                    live.UpdateTarget(bar.Draw(verb, time.GetUtcNow()));
                }
            });
        }
        return await work;
    }

    public void Report(TransferProgress value)
    {
        lock (_gate) _newest = value;
    }

    internal Markup Draw(string verb, DateTimeOffset now)
    {
        TransferProgress newest;
        lock (_gate) newest = _newest;
        _pace.Add(now, newest.DoneBytes);
        var rate = _pace.PerSecond is { } perSecond ? $"  {Amount.Bytes(perSecond)}/s" : "";
        var left = _pace.TimeFor(newest.TotalBytes - newest.DoneBytes) is { } time ? $"  {Amount.Time(time)} left" : "";
        var share = newest.TotalBytes > 0 ? (double)newest.DoneBytes / newest.TotalBytes : 0;
        return new Markup($"{verb} {Bar.Markup(share, 24)} {share:0%}  {Amount.Bytes(newest.DoneBytes)} of {Amount.Bytes(newest.TotalBytes)}{rate}{left}");
    }
}
