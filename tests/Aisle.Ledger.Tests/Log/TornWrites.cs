using Aisle.Ledger.Log;
using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.Log;

/// <summary>A crash may leave any part of the last write. What was flushed before it is there, and the ledger goes on.</summary>
public sealed class TornWrites : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    public static TheoryData<string> Leftovers => ["nothing", "zeros", "noise"];

    [Theory, MemberData(nameof(Leftovers))]
    public async Task Cut_at_any_byte_every_record_before_the_cut_is_there(string after)
    {
        // An unsealed log, as a process killed between its flush and its seal leaves it.
        var log = WriteAheadLog.Open(_directory.Path, 0, 0, _ => { });
        var ends = new List<long>();
        for (var i = 1; i <= 5; i++)
        {
            log.Append([LedgerCodec.Write(Move("a", $"c{i}")), LedgerCodec.Write(Submit($"i{i}"))]);
            log.Flush();
            ends.Add(log.SegmentBytes);
        }
        log.Dispose();
        var path = _directory.Newest("*.seg");
        var whole = (await File.ReadAllBytesAsync(path, Ct))[..(int)ends[^1]];
        var random = new Random(7);

        for (var cut = (int)ends[2]; cut <= whole.Length; cut++)
        {
            var rest = new byte[after == "nothing" ? 0 : whole.Length + 100 - cut];
            if (after == "noise") random.NextBytes(rest);
            await File.WriteAllBytesAsync(path, [.. whole[..cut], .. rest], Ct);
            var kept = ends.Count(end => end <= cut);

            await using (var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct))
            {
                Assert.True(2 * kept == ledger.State.Revision, $"cut at {cut}: {ledger.State.Revision} commands, {2 * kept} were flushed");
                Assert.Equal(kept, ledger.State.Names["a"].Latest.Number);
                // Going on takes several flushes, so not after each cut.
                if (cut % 16 != 0) continue;
                await ledger.ProposeAsync(Move("b", "x"), Ct);
            }
            await using var again = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
            Assert.Equal(2 * kept + 1, again.State.Revision);
        }
    }

    [Fact]
    public async Task A_new_segment_cut_at_any_byte_of_its_header_is_made_again()
    {
        string before;
        await using (var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct))
        {
            await ledger.ProposeAsync(Move("a", "x"), Ct);
            before = ledger.State.Text();
        }
        // As a crash inside Roll leaves it: the next segment exists, and the mark that says so does not.
        var next = Path.Combine(_directory.Path, LogSegment.NameOf(2));
        var header = new byte[LogSegment.HeaderBytes];
        LogSegment.WriteHeader(header, 2);
        for (var cut = 0; cut <= header.Length; cut++)
        {
            await File.WriteAllBytesAsync(next, header[..cut], Ct);
            await using var again = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
            Assert.Equal(before, again.State.Text());
        }
    }

    [Fact]
    public async Task A_batch_torn_in_its_middle_is_cut_though_its_last_page_arrived()
    {
        var log = WriteAheadLog.Open(_directory.Path, 0, 0, _ => { });
        log.Append([LedgerCodec.Write(Move("a", "x"))]);
        log.Flush();
        log.Seal();
        var start = (int)log.SegmentBytes;
        log.Append([.. Enumerable.Range(0, 100).Select(i => (ReadOnlyMemory<byte>)LedgerCodec.Write(Move($"n{i}", "x")))]);
        log.Dispose();
        var path = _directory.Newest("*.seg");
        var bytes = await File.ReadAllBytesAsync(path, Ct);
        bytes.AsSpan(4096, 4096).Clear();
        Assert.True(start < 4096);
        await File.WriteAllBytesAsync(path, bytes, Ct);
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
        Assert.Equal(1, ledger.State.Revision);
        Assert.True(ledger.Recovery.TornBytesCut > 4096);
    }

    [Fact]
    public async Task A_seal_that_never_reached_the_disk_does_not_make_the_next_batch_look_like_damage()
    {
        var log = WriteAheadLog.Open(_directory.Path, 0, 0, _ => { });
        log.Append([LedgerCodec.Write(Move("a", "x"))]);
        log.Flush();
        var seal = (int)log.SegmentBytes;
        log.Seal();
        log.Append([LedgerCodec.Write(Move("b", "x"))]);
        log.Dispose();
        var path = _directory.Newest("*.seg");
        var bytes = await File.ReadAllBytesAsync(path, Ct);
        bytes.AsSpan(seal, LogRecord.HeaderBytes).Clear();
        await File.WriteAllBytesAsync(path, bytes, Ct);
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
        Assert.Equal(1, ledger.State.Revision);
    }
}
