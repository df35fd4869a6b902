using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Tests.Log;

/// <summary>The log over a disk that loses power: what was flushed is there, nothing is invented, nothing is cut that was flushed.</summary>
public sealed class LogCrashes
{
    private static readonly LogOptions Small = new() { SegmentBytes = 6000, CacheBytes = 1000 };

    [Fact]
    public void Wherever_the_power_is_cut_what_was_flushed_is_there_and_nothing_else()
    {
        var cuts = 0;
        for (var seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            var disk = new SimulatedDisk(seed);
            var model = new LogModel(random);
            for (var round = 0; round < 10; round++)
            {
                disk.CutAfter = disk.Operations + random.Next(round == 0 ? 12 : 60);
                try
                {
                    using var log = WriteAheadLog.Open(disk, LogModel.Identity, Small);
                    model.Recovered(log, $"seed {seed}, round {round}");
                    while (true) model.Step(log);
                }
                catch (PowerCutException)
                {
                    cuts++;
                    disk.Restart();
                }
            }
        }
        Assert.Equal(4000, cuts);
    }

    [Fact]
    public void A_process_that_is_killed_loses_nothing_that_it_wrote()
    {
        for (var seed = 0; seed < 50; seed++)
        {
            var random = new Random(seed);
            var disk = new SimulatedDisk(seed);
            var model = new LogModel(random);
            for (var round = 0; round < 10; round++)
            {
                using var log = WriteAheadLog.Open(disk, LogModel.Identity, Small);
                model.Recovered(log, $"seed {seed}, round {round}");
                for (var step = random.Next(20); step > 0; step--) model.Step(log);
                disk.Reopen();
            }
        }
    }

    [Fact]
    public void The_first_failed_write_or_flush_is_final_and_what_was_flushed_before_is_there()
    {
        for (var seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            var disk = new SimulatedDisk(seed);
            var model = new LogModel(random);
            using (var log = WriteAheadLog.Open(disk, LogModel.Identity, Small))
            {
                var full = random.Next(2) == 0;
                if (full) disk.Room = disk.List().Sum(name => disk.Bytes(name).Length) + random.Next(100_000);
                else disk.FailAfter = disk.Operations + random.Next(60);
                Action untilItFails = () =>
                {
                    while (true) model.Step(log);
                };
                Assert.ThrowsAny<IOException>(untilItFails);
                // The disk is well again, and the log still does not trust it.
                (disk.FailAfter, disk.Room) = (int.MaxValue, long.MaxValue);
                var operations = disk.Operations;
                Assert.ThrowsAny<IOException>(() => log.Append(new HardState(1000, default), null, []));
                Assert.ThrowsAny<IOException>(() => log.Flush());
                Assert.ThrowsAny<IOException>(log.Seal);
                Assert.Equal(operations, disk.Operations);
            }
            if (random.Next(2) == 0) disk.Restart();
            else disk.Reopen();
            using var again = WriteAheadLog.Open(disk, LogModel.Identity, Small);
            model.Recovered(again, $"seed {seed}");
        }
    }

    [Fact]
    public void A_flush_is_one_flush_of_the_disk_whatever_was_appended_since_the_last()
    {
        var disk = new SimulatedDisk(1);
        using var log = WriteAheadLog.Open(disk, LogModel.Identity);
        var before = disk.Flushes;
        for (var i = 1; i <= 100; i++) log.Append(new HardState(i, new MemberId(2)), null, [new Entry(i, i, EntryKind.Commands, new byte[100])]);
        Assert.Equal(new LogPosition(100, 100), log.Flush());
        Assert.Equal(before + 1, disk.Flushes);
        log.Flush();
        Assert.Equal(before + 1, disk.Flushes);
    }

    [Fact]
    public void What_is_appended_can_be_read_before_it_is_flushed_and_flushed_positions_are_what_the_disk_has()
    {
        var disk = new SimulatedDisk(1);
        using var log = WriteAheadLog.Open(disk, LogModel.Identity);
        log.Append(new HardState(1, default), null, [new Entry(1, 1, EntryKind.Blank, default), new Entry(1, 2, EntryKind.Commands, "a"u8.ToArray())]);
        Assert.Equal([1L, 2L], log.Read(1, 1000).Select(entry => entry.Index));
        Assert.Equal(new LogPosition(1, 2), log.Flush());
        log.Append(new HardState(2, default), 2, [new Entry(2, 2, EntryKind.Commands, "b"u8.ToArray())]);
        Assert.Equal(2, log.TermAt(2));
        Assert.Null(log.TermAt(3));
        Assert.Equal(new LogPosition(2, 2), log.Flush());
        Assert.Throws<ArgumentOutOfRangeException>(() => log.Read(3, 1000));
        Assert.Throws<ArgumentException>(() => log.Append(null, null, [new Entry(2, 4, EntryKind.Blank, default)]));
        Assert.Throws<ArgumentException>(() => log.Append(null, null, [new Entry(1, 3, EntryKind.Blank, default)]));
        Assert.Throws<ArgumentException>(() => log.Append(new HardState(1, default), null, []));
    }
}
