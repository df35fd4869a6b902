using Aisle.Monitoring;

namespace Aisle.Training.Tests;

public sealed class StepClockTests
{
    [Fact]
    public void Laps_close_one_phase_after_the_other_and_leave_nothing_out()
    {
        var time = new HandTurnedTime();
        var clock = new StepClock(time);
        time.Turn(100);
        clock.Restart(); // what was before belongs to no step
        time.Turn(3);
        clock.Computing();
        time.Turn(20);
        clock.Computed(slices: 4);
        time.Turn(5);
        clock.Computing(); // a dead worker's share, given to this one while it waited
        time.Turn(10);
        clock.Computed(slices: 2);
        time.Turn(7);
        clock.Applying();
        var since = time.GetTimestamp();
        time.Turn(1);
        clock.Saved(since);
        time.Turn(1);
        Assert.Equal(new StepTimes(3000, 30_000, 12_000, 2000, 1000, 6), clock.Applied());
        time.Turn(4);
        clock.Applying(); // a step without a share of its own: all of it was waiting
        Assert.Equal(new StepTimes(0, 0, 4000, 0, 0, 0), clock.Applied());
    }

    private sealed class HandTurnedTime : TimeProvider
    {
        private long _microseconds;

        public override long TimestampFrequency => 1_000_000;

        public void Turn(int milliseconds) => _microseconds += milliseconds * 1000L;

        public override long GetTimestamp() => _microseconds;
    }
}
