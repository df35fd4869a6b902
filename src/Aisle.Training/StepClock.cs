using Aisle.Monitoring;

namespace Aisle.Training;

/// <summary>
/// Times the computing thread's step by laps: each closes the phase that just ended. Two clock reads a unit and no allocation. Not thread-safe but
/// for <see cref="Saved"/>, which any thread may call.
/// </summary>
internal sealed class StepClock(TimeProvider time)
{
    private long _lap = time.GetTimestamp();
    private TimeSpan _plan, _compute, _exchange, _apply;
    private long _savedTicks; // of a TimeSpan
    private int _slices;

    /// <summary>A state is here that no step led to: what was before belongs to no step.</summary>
    public void Restart()
    {
        (_plan, _compute, _exchange, _apply, _slices) = (default, default, default, default, 0);
        Interlocked.Exchange(ref _savedTicks, 0);
        _lap = time.GetTimestamp();
    }

    /// <summary>A unit's first slice begins.</summary>
    public void Computing()
    {
        if (_slices == 0) _plan += Lap();
        else _exchange += Lap();
    }

    /// <summary>The slices are computed, or given up.</summary>
    public void Computed(int slices)
    {
        _compute += Lap();
        _slices += slices;
    }

    public void Applying() => _exchange += Lap();

    public void Saved(long since) => Interlocked.Add(ref _savedTicks, time.GetElapsedTime(since).Ticks);

    /// <summary>The step is made.</summary>
    /// <returns>Its times; the next step's begin.</returns>
    public StepTimes Applied()
    {
        _apply += Lap();
        var times = new StepTimes(Micros(_plan), Micros(_compute), Micros(_exchange), Micros(_apply), Interlocked.Exchange(ref _savedTicks, 0) / TimeSpan.TicksPerMicrosecond, _slices);
        (_plan, _compute, _exchange, _apply, _slices) = (default, default, default, default, 0);
        return times;
    }

    private TimeSpan Lap()
    {
        var now = time.GetTimestamp();
        var took = time.GetElapsedTime(_lap, now);
        _lap = now;
        return took;
    }

    private static long Micros(TimeSpan span) => span.Ticks / TimeSpan.TicksPerMicrosecond;
}
