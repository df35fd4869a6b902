namespace Aisle.Terminal;

/// <summary>How fast something goes, seen over the last seconds. Time comes with each sample; not safe for several threads.</summary>
public sealed class Pace(TimeSpan window)
{
    private readonly Queue<(DateTimeOffset At, double Done)> _samples = [];
    private (DateTimeOffset At, double Done) _newest;

    public Pace() : this(TimeSpan.FromSeconds(10))
    {
    }

    /// <param name="done">Done so far; less than before means it started again.</param>
    public void Add(DateTimeOffset at, double done)
    {
        if (_samples.Count > 0 && (done < _newest.Done || at < _newest.At)) _samples.Clear();
        _newest = (at, done);
        _samples.Enqueue(_newest);
        // One sample older than the window stays, so that slow work has a rate too.
        while (_samples.Count > 2 && at - _samples.Peek().At > window) _samples.Dequeue();
    }

    /// <summary>Null until two samples are apart.</summary>
    public double? PerSecond
    {
        get
        {
            if (_samples.Count < 2) return null;
            var oldest = _samples.Peek();
            var seconds = (_newest.At - oldest.At).TotalSeconds;
            return seconds > 0 && _newest.Done > oldest.Done ? (_newest.Done - oldest.Done) / seconds : null;
        }
    }

    /// <summary>How long the rest takes at this pace; null where that is not known yet or is more than a hundred days.</summary>
    public TimeSpan? TimeFor(double rest) =>
        PerSecond is { } rate && rest >= 0 && rest / rate < TimeSpan.FromDays(100).TotalSeconds ? TimeSpan.FromSeconds(rest / rate) : null;
}
