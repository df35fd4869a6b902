namespace Aisle.Identity.Tests;

/// <summary>A calendar that the test moves; timers run by the system's.</summary>
internal sealed class SteppedTime(DateTimeOffset now) : TimeProvider
{
    private long _ticks = now.UtcTicks;

    public static SteppedTime Start() => new(new DateTimeOffset(2031, 3, 1, 12, 0, 0, TimeSpan.Zero));

    public void Advance(TimeSpan by) => Interlocked.Add(ref _ticks, by.Ticks);

    public SteppedTime Off(TimeSpan by) => new(GetUtcNow() + by);

    public override DateTimeOffset GetUtcNow() => new(Interlocked.Read(ref _ticks), TimeSpan.Zero);
}
