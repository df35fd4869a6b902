using System.Globalization;

namespace Aisle.Quickstart;

/// <summary>Peak memory of this process and all that descend from another, shared pages counted once. Measures on Linux; elsewhere it says 0.</summary>
internal sealed class MemoryMeter : IAsyncDisposable
{
    private static readonly TimeSpan s_beat = TimeSpan.FromMilliseconds(500);
    private readonly CancellationTokenSource _stop = new();
    private readonly int _root;
    private readonly Task _loop;
    private long _peakBytes;
    private int _mostProcesses;

    public MemoryMeter(int root, TimeProvider time)
    {
        _root = root;
        _loop = OperatingSystem.IsLinux() ? MeasureAsync(time) : Task.CompletedTask;
    }

    public long PeakBytes => Interlocked.Read(ref _peakBytes);

    /// <summary>Processes at once, this one included.</summary>
    public int MostProcesses => _mostProcesses;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task MeasureAsync(TimeProvider time)
    {
        using var timer = new PeriodicTimer(s_beat, time);
        do
        {
            var family = Family(_root).Append(Environment.ProcessId).Distinct().ToList();
            var bytes = family.Sum(ProportionalBytes);
            if (bytes > PeakBytes) Interlocked.Exchange(ref _peakBytes, bytes);
            _mostProcesses = Math.Max(_mostProcesses, family.Count);
        }
        while (await timer.WaitForNextTickAsync(_stop.Token));
    }

    private static IEnumerable<int> Family(int root)
    {
        var children = Directory.EnumerateDirectories("/proc")
            .Select(folder => int.TryParse(Path.GetFileName(folder), out var pid) ? pid : 0)
            .Where(pid => pid > 0)
            .ToLookup(ParentOf);
        var found = new List<int> { root };
        for (var i = 0; i < found.Count; i++) found.AddRange(children[found[i]]);
        return found;
    }

    private static int ParentOf(int pid)
    {
        try
        {
            // 4242 (a name) S 17 …: the name may hold anything, so count from its last bracket.
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1], CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return -1; // It has just ended.
        }
    }

    private static long ProportionalBytes(int pid)
    {
        try
        {
            var line = File.ReadLines($"/proc/{pid}/smaps_rollup").FirstOrDefault(line => line.StartsWith("Pss:", StringComparison.Ordinal));
            return line?.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var kib, ..] ? long.Parse(kib, CultureInfo.InvariantCulture) * 1024 : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
