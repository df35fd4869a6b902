using System.Diagnostics;
using Aisle.Jobs;

namespace Aisle.Work;

/// <summary>Progress to the node, a few times a second at most. Safe to call from many threads.</summary>
internal sealed class SteadyProgress
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);
    private readonly Lock _gate = new();
    private readonly Stopwatch _since = Stopwatch.StartNew();

    public void Report(double done, double total, string unit)
    {
        lock (_gate)
        {
            if (_since.Elapsed < Pause && done < total) return;
            _since.Restart();
        }
        JobProcess.Say(new ProcessMessage { Type = "progress", Done = done, Total = total, Unit = unit });
    }

    /// <summary>As what a part of Aisle reports to.</summary>
    public IProgress<T> Of<T>(Func<T, (double Done, double Total)> read, string unit) => new Adapter<T>(this, read, unit);

    // Progress<T> posts to the thread pool and may arrive late or out of order; this reports where it is called.
    private sealed class Adapter<T>(SteadyProgress to, Func<T, (double Done, double Total)> read, string unit) : IProgress<T>
    {
        public void Report(T value)
        {
            var (done, total) = read(value);
            to.Report(done, total, unit);
        }
    }
}
