using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;
using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.Log;

/// <summary>A crash may leave any sectors of the last write. What was flushed before it is there, and the ledger goes on. On real files.</summary>
public sealed class TornWrites : IDisposable
{
    private const int Sector = 512;

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    /// <summary>An unsealed log of one member, as a process killed between its flush and its seal leaves it.</summary>
    private (byte[] Bytes, List<long> Ends) Write(params LedgerCommand[][] batches)
    {
        var ends = new List<long>();
        using (var disk = FileDisk.Open(_directory.Path))
        using (var log = WriteAheadLog.Open(disk, LogModel.Identity))
        {
            foreach (var batch in batches)
            {
                byte[] json = [(byte)'[', .. batch.SelectMany((command, i) => i == 0 ? LedgerCodec.Write(command) : [(byte)',', .. LedgerCodec.Write(command)]), (byte)']'];
                log.Append(null, null, [new Entry(1, log.Last.Index + 1, EntryKind.Commands, json)]);
                log.Flush();
                ends.Add(log.SegmentBytes);
            }
        }
        return (File.ReadAllBytes(_directory.Newest("*.seg")), ends);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Cut_anywhere_every_batch_before_the_cut_is_there(bool shorter)
    {
        var (whole, ends) = Write([.. Enumerable.Range(1, 5).Select(i => new LedgerCommand[] { Move("a", $"c{i}"), Submit($"i{i}"), Move($"n{i}", "x") })]);
        var path = _directory.Newest("*.seg");
        // A file that was never made longer can end anywhere; a sector is there or is zeros.
        for (var cut = (int)ends[2]; cut <= ends[^1]; cut += shorter ? 7 : Sector - cut % Sector)
        {
            await File.WriteAllBytesAsync(path, [.. whole[..cut], .. new byte[shorter ? 0 : whole.Length - cut]], Ct);
            var kept = ends.Count(end => end <= cut);
            await using (var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct))
            {
                Assert.True(3 * kept == ledger.State.Revision, $"cut at {cut}: {ledger.State.Revision} commands, {3 * kept} were flushed");
                Assert.Equal(kept, ledger.State.Names["a"].Latest.Number);
                await ledger.ProposeAsync(Move("b", "x"), Ct);
            }
            await using var again = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
            Assert.Equal(3 * kept + 1, again.State.Revision);
        }
    }

    [Fact]
    public async Task A_new_segment_cut_at_any_byte_of_its_head_is_made_again()
    {
        string before;
        await using (var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct))
        {
            await ledger.ProposeAsync(Move("a", "x"), Ct);
            before = ledger.State.Text();
        }
        // As a crash inside Roll leaves it: the next segment exists, and the mark that says so does not.
        var next = Path.Combine(_directory.Path, LogSegment.NameOf(2));
        var head = new byte[LogSegment.HeaderBytes + LogFrame.HeadBytes];
        LogSegment.WriteHeader(head, 2);
        new LogFrame { Kinds = FrameKinds.Seal, Number = 1, First = 2, Last = new LogPosition(1, 1) }.WriteHead(head.AsSpan(LogSegment.HeaderBytes), 2, LogSegment.HeaderBytes);
        for (var cut = 0; cut <= head.Length; cut++)
        {
            await File.WriteAllBytesAsync(next, head[..cut], Ct);
            await using var again = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
            Assert.Equal(before, again.State.Text());
        }
    }

    [Fact]
    public async Task A_batch_torn_in_its_middle_is_cut_though_its_last_sector_arrived()
    {
        var (bytes, ends) = Write([Move("a", "x")], [.. Enumerable.Range(0, 100).Select(i => Move($"n{i}", "x"))]);
        bytes.AsSpan(4096, Sector).Clear();
        Assert.True(ends[0] < 4096 && ends[1] > 8192);
        await File.WriteAllBytesAsync(_directory.Newest("*.seg"), bytes, Ct);
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
        Assert.Equal(1, ledger.State.Revision);
        Assert.True(ledger.Recovery.TornBytesCut > 4096);
    }

    [Fact]
    public async Task A_last_batch_whose_sectors_all_arrived_and_that_is_wrong_is_damage_and_not_torn()
    {
        var (bytes, ends) = Write([Move("a", "x")], [Move("b", "x")]);
        var path = _directory.Newest("*.seg");
        for (var at = ends[0]; at < ends[1] - LogFrame.TailBytes; at += 3)
        {
            await File.WriteAllBytesAsync(path, Corruption.Flip(bytes, (int)at, 4), Ct);
            await Assert.ThrowsAsync<LedgerDamagedException>(() => LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct));
        }
    }

    [Fact]
    public async Task A_seal_that_never_reached_the_disk_does_not_make_the_next_batch_look_like_damage()
    {
        int seal;
        using (var disk = FileDisk.Open(_directory.Path))
        using (var log = WriteAheadLog.Open(disk, LogModel.Identity))
        {
            void Append(string name)
            {
                log.Append(null, null, [new Entry(1, log.Last.Index + 1, EntryKind.Commands, (byte[])[(byte)'[', .. LedgerCodec.Write(Move(name, "x")), (byte)']'])]);
                log.Flush();
            }
            Append("a");
            seal = (int)log.SegmentBytes;
            log.Seal();
            Append("b");
        }
        var path = _directory.Newest("*.seg");
        var bytes = await File.ReadAllBytesAsync(path, Ct);
        bytes.AsSpan(seal, LogFrame.HeadBytes).Clear();
        await File.WriteAllBytesAsync(path, bytes, Ct);
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
        Assert.Equal(2, ledger.State.Revision);
    }
}
