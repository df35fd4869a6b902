using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Tests.Log;

/// <summary>The log over a disk that changes what was flushed: every damaged entry is named, none is cut, and peers can give them back.</summary>
public sealed class LogDamages
{
    private static readonly LogOptions Small = new() { SegmentBytes = 6000, CacheBytes = 1000 };

    [Fact]
    public void A_flushed_byte_that_changed_is_named_and_never_cut_and_peers_can_give_the_entries_back()
    {
        var (stopped, repaired, whole) = (0, 0, 0);
        for (var seed = 0; seed < 800; seed++)
        {
            var random = new Random(seed);
            var disk = new SimulatedDisk(seed);
            var model = new LogModel(random);
            using (var log = WriteAheadLog.Open(disk, LogModel.Identity, Small))
            {
                for (var step = random.Next(5, 60); step > 0; step--) model.Step(log);
            }
            for (var hits = random.Next(1, 4); hits > 0; hits--) Harm(disk, random);
            if (random.Next(2) == 0) disk.Restart();
            else disk.Reopen();
            try
            {
                using (var log = WriteAheadLog.Open(disk, LogModel.Identity, Small))
                {
                    var what = $"seed {seed}";
                    Assert.Equal(model.Durable.Hard, log.HardState);
                    Assert.Equal(model.Durable.Mark, log.Marked);
                    Assert.True(log.Last.Index == model.Durable.Last.Index, $"{what}: the log ends with {log.Last}, {model.Durable.Last} was flushed; damaged {string.Join(", ", log.Damaged)}");
                    if (log.Damaged.Count == 0) whole++;
                    else repaired++;
                    foreach (var damage in log.Damaged.ToArray())
                    {
                        Assert.InRange(damage.FirstIndex, model.Durable.Mark.Index + 1, damage.LastIndex);
                        Assert.Throws<LedgerDamagedException>(() => log.Read(damage.FirstIndex, 100));
                        Assert.Throws<LedgerDamagedException>(log.ThrowIfDamaged);
                        var lost = model.Durable.Entries.Where(entry => damage.FirstIndex <= entry.Index && entry.Index <= damage.LastIndex).ToList();
                        // In parts, as answers of peers arrive.
                        var part = random.Next(1, lost.Count + 1);
                        log.Repair(lost[..part]);
                        log.Repair(lost[part..]);
                    }
                    model.Recovered(log, what);
                    for (var step = random.Next(10); step > 0; step--) model.Step(log);
                }
                disk.Restart();
                using var again = WriteAheadLog.Open(disk, LogModel.Identity, Small);
                model.Recovered(again, $"seed {seed} again");
            }
            catch (LedgerDamagedException e)
            {
                // The head of the newest frame, or nothing behind a lost segment: the vote may have been there.
                Assert.StartsWith("/disk/", e.File);
                stopped++;
            }
        }
        Assert.True(repaired > 150 && whole > 25 && stopped is > 10 and < 270, $"{repaired} repaired, {whole} whole, {stopped} stopped");
    }

    /// <summary>One flipped bit, in three of four among the frames; or a sector or two that were never written; or a segment that is gone.</summary>
    private static void Harm(SimulatedDisk disk, Random random)
    {
        var segments = disk.List().Where(name => name.EndsWith(".seg", StringComparison.Ordinal)).ToArray();
        var name = segments[random.Next(segments.Length)];
        var bytes = disk.Bytes(name);
        var end = Math.Max(1, bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 1);
        // The last frame can be flipped and be told; blanked, it is as if it had never been written.
        switch (random.Next(8))
        {
            case 0 when name != segments[^1]:
                disk.Blank(name, random.Next(end / 512 + 1) * 512, 512 * random.Next(1, 3));
                break;
            case 1 when segments.Length > 2 && name != segments[^1]:
                disk.Delete(name);
                disk.FlushDirectory();
                break;
            default:
                disk.Flip(name, random.Next(end));
                break;
        }
    }

    [Fact]
    public void Entries_that_do_not_fit_are_no_repair()
    {
        var disk = new SimulatedDisk(1);
        using (var log = WriteAheadLog.Open(disk, LogModel.Identity))
        {
            for (var i = 1; i <= 5; i++)
            {
                log.Append(new HardState(i, default), null, [new Entry(i, i, EntryKind.Commands, new byte[] { 1, 2, 3 })]);
                log.Flush();
            }
        }
        var name = LogSegment.NameOf(1);
        // Frames of 96 + 40 + 8 bytes behind the header and its seal; the payload of the third.
        disk.Flip(name, LogSegment.HeaderBytes + LogFrame.HeadBytes + 2 * 144 + LogFrame.HeadBytes + EntryCodec.HeaderBytes);
        using var opened = WriteAheadLog.Open(disk, LogModel.Identity);
        var damage = Assert.Single(opened.Damaged);
        Assert.Equal((3, 3), (damage.FirstIndex, damage.LastIndex));
        Assert.Null(opened.TermAt(3));
        Assert.Equal([1L, 2L], opened.Read(1, 1000).Select(entry => entry.Index));
        foreach (var wrong in new[] { new Entry(1, 3, EntryKind.Blank, default), new Entry(5, 3, EntryKind.Blank, default), new Entry(4, 4, EntryKind.Blank, default), new Entry(3, 6, EntryKind.Blank, default) })
        {
            Assert.Throws<ArgumentException>(() => opened.Repair([wrong]));
        }
        opened.Repair([new Entry(3, 3, EntryKind.Commands, new byte[] { 1, 2, 3 })]);
        Assert.Empty(opened.Damaged);
        Assert.Equal(5, opened.Read(1, 1000).Count);
    }

    [Fact]
    public void Damage_goes_when_a_snapshot_covers_it_or_the_entries_are_truncated()
    {
        foreach (var snapshot in new[] { true, false })
        {
            var disk = new SimulatedDisk(1);
            using (var log = WriteAheadLog.Open(disk, LogModel.Identity))
            {
                for (var i = 1; i <= 5; i++)
                {
                    log.Append(null, null, [new Entry(1, i, EntryKind.Commands, new byte[] { 1, 2, 3 })]);
                    log.Flush();
                }
            }
            disk.Flip(LogSegment.NameOf(1), LogSegment.HeaderBytes + LogFrame.HeadBytes + 2 * 144 + LogFrame.HeadBytes + EntryCodec.HeaderBytes);
            using (var log = WriteAheadLog.Open(disk, LogModel.Identity))
            {
                Assert.Single(log.Damaged);
                if (snapshot) log.Mark(new LogPosition(1, 3));
                else log.Append(null, 2, []);
                log.Flush();
                Assert.Empty(log.Damaged);
            }
            using var again = WriteAheadLog.Open(disk, LogModel.Identity);
            Assert.Empty(again.Damaged);
            Assert.Equal(snapshot ? 5 : 1, again.Last.Index);
            Assert.Equal(snapshot ? [4L, 5L] : [1L], again.Read(snapshot ? 4 : 1, 1000).Select(entry => entry.Index));
        }
    }

    [Fact]
    public void An_entry_that_goes_bad_while_the_log_is_open_is_found_when_it_is_read()
    {
        var disk = new SimulatedDisk(1);
        using var log = WriteAheadLog.Open(disk, LogModel.Identity, new LogOptions { CacheBytes = 0 });
        for (var i = 1; i <= 5; i++)
        {
            log.Append(null, null, [new Entry(1, i, EntryKind.Commands, new byte[] { 1, 2, 3 })]);
            log.Flush();
        }
        disk.Flip(LogSegment.NameOf(1), LogSegment.HeaderBytes + LogFrame.HeadBytes + 2 * 144 + LogFrame.HeadBytes + EntryCodec.HeaderBytes);
        Assert.Equal([1L, 2L], log.Read(1, 1000).Select(entry => entry.Index));
        Assert.Throws<LedgerDamagedException>(() => log.Read(3, 1000));
        Assert.Equal(3, Assert.Single(log.Damaged).FirstIndex);
        Assert.Equal([4L, 5L], log.Read(4, 1000).Select(entry => entry.Index));
    }

    [Fact]
    public void A_directory_is_bound_to_one_member_of_one_cluster()
    {
        var disk = new SimulatedDisk(1);
        WriteAheadLog.Open(disk, LogModel.Identity).Dispose();
        foreach (var other in new[] { LogModel.Identity with { Member = new MemberId(4) }, LogModel.Identity with { Cluster = new string('0', 32) } })
        {
            Assert.Equal(LedgerCodes.OtherMember, Assert.Throws<AisleException>(() => WriteAheadLog.Open(disk, other)).Code);
        }
        disk.Flip(LedgerIdentity.FileName, 12);
        Assert.Throws<LedgerDamagedException>(() => WriteAheadLog.Open(disk, LogModel.Identity));
    }

    [Fact]
    public void A_directory_that_lost_its_log_or_its_identity_is_not_taken_for_a_new_one()
    {
        foreach (var lost in new[] { LedgerIdentity.FileName, LogSegment.NameOf(1) })
        {
            var disk = new SimulatedDisk(1);
            using (var log = WriteAheadLog.Open(disk, LogModel.Identity))
            {
                log.Append(new HardState(1, new MemberId(1)), null, []);
                log.Flush();
            }
            disk.Delete(lost);
            Assert.Throws<LedgerDamagedException>(() => WriteAheadLog.Open(disk, LogModel.Identity));
        }
    }
}
