using System.Buffers.Binary;
using Aisle.Artifacts;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;
using CsCheck;
using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.Log;

/// <summary>Flushed bytes that changed are reported, never cut.</summary>
public sealed class Damage : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task No_single_flipped_byte_of_the_log_loses_an_acknowledged_command()
    {
        var before = await WriteAsync(commands: 4);
        var path = _directory.Newest("*.seg");
        var whole = await File.ReadAllBytesAsync(path, Ct);
        var end = whole.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        var (opened, refused) = (0, 0);
        for (var at = 0; at < end; at++)
        {
            var flipped = Corruption.Flip(whole, at, (byte)(1 << at % 8));
            await File.WriteAllBytesAsync(path, flipped, Ct);
            try
            {
                await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
                Assert.Equal(before, ledger.State.Text());
                opened++;
            }
            catch (LedgerDamagedException e)
            {
                Assert.Equal(path, e.File);
                Assert.InRange(e.Offset, Math.Max(0, at - 2000), at);
                Assert.Contains(path, e.Message);
                Assert.Equal(flipped, await File.ReadAllBytesAsync(path, Ct));
                refused++;
            }
        }
        // Only seals, end marks and the segment's own header can go bad without anything being missed.
        Assert.InRange(opened, 0, LogSegment.HeaderBytes + 6 * LogFrame.HeadBytes + 4 * LogFrame.TailBytes);
        Assert.Equal(end, opened + refused);
    }

    [Fact]
    public async Task No_single_missing_file_loses_an_acknowledged_command()
    {
        var before = await WriteAsync(commands: 300, segmentBytes: 4 << 10);
        var files = Directory.EnumerateFiles(_directory.Path).Where(file => !file.EndsWith(".lock", StringComparison.Ordinal) && !file.EndsWith(".pid", StringComparison.Ordinal)).ToList();
        Assert.True(files.Count >= 4, string.Join(", ", files));
        var refused = 0;
        foreach (var file in files)
        {
            using var copy = _directory.Copy();
            File.Delete(Path.Combine(copy.Path, Path.GetFileName(file)));
            try
            {
                await using var ledger = await LedgerMember.OpenAsync(copy.Path, cancellationToken: Ct);
                Assert.Equal(before, ledger.State.Text());
            }
            catch (LedgerDamagedException)
            {
                refused++;
            }
        }
        Assert.InRange(refused, 1, files.Count - 1);
    }

    [Fact]
    public async Task A_log_that_is_gone_altogether_is_missed_when_there_is_a_snapshot()
    {
        await WriteAsync(commands: 300, segmentBytes: 4 << 10);
        foreach (var file in Directory.EnumerateFiles(_directory.Path, "*.seg")) File.Delete(file);
        await Assert.ThrowsAsync<LedgerDamagedException>(() => LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct));
    }

    [Fact]
    public async Task A_damaged_newest_snapshot_is_passed_over_and_nothing_is_lost()
    {
        var before = await WriteAsync(commands: 300, segmentBytes: 4 << 10);
        var path = _directory.Newest("*.snap");
        var whole = await File.ReadAllBytesAsync(path, Ct);
        var random = new Random(3);
        for (var i = 0; i < 20; i++)
        {
            using var copy = _directory.Copy();
            await File.WriteAllBytesAsync(copy.Newest("*.snap"), Corruption.Of(whole, random), Ct);
            await using var ledger = await LedgerMember.OpenAsync(copy.Path, cancellationToken: Ct);
            Assert.Equal(before, ledger.State.Text());
            Assert.Single(ledger.Recovery.DamagedSnapshots);
        }
        foreach (var snapshot in Directory.EnumerateFiles(_directory.Path, "*.snap")) await File.WriteAllBytesAsync(snapshot, whole[..^1], Ct);
        await Assert.ThrowsAsync<LedgerDamagedException>(() => LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct));
    }

    [Fact]
    public async Task An_unfinished_snapshot_is_swept_away()
    {
        var before = await WriteAsync(commands: 3);
        var left = Path.Combine(_directory.Path, "snapshot-00000000000000000002.snap.tmp");
        await File.WriteAllTextAsync(left, "half", Ct);
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
        Assert.Equal(before, ledger.State.Text());
        Assert.False(File.Exists(left));
    }

    [Fact]
    public async Task An_entry_of_a_newer_program_is_told_from_damage()
    {
        using (var disk = FileDisk.Open(_directory.Path))
        using (var log = WriteAheadLog.Open(disk, LogModel.Identity))
        {
            log.Append(null, null, [new Entry(1, 1, EntryKind.Commands, "[{\"command\":\"fromTheFuture\"}]"u8.ToArray())]);
            log.Flush();
        }
        var refused = await Assert.ThrowsAsync<AisleException>(() => LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct));
        Assert.Equal(LedgerCodes.UnknownFormat, refused.Code);
        Assert.Contains("Entry 1 ", refused.What);
    }

    [Fact]
    public async Task A_directory_of_the_first_format_is_refused_with_a_next_step_and_left_as_it_is()
    {
        // Magic, format 1, first entry 1 and their checksum, as the first programs began a log.
        var old = new byte[65536];
        "AISLELOG"u8.CopyTo(old);
        (old[8], old[12]) = (1, 1);
        BinaryPrimitives.WriteUInt32LittleEndian(old.AsSpan(20), Crc32C.Of(old.AsSpan(0, 20)));
        var path = Path.Combine(_directory.Path, "log-00000000000000000001.seg");
        await File.WriteAllBytesAsync(path, old, Ct);
        var refused = await Assert.ThrowsAsync<AisleException>(() => LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct));
        Assert.Equal(LedgerCodes.UnknownFormat, refused.Code);
        Assert.Contains("move the directory away", refused.Next);
        Assert.Equal(old, await File.ReadAllBytesAsync(path, Ct));
    }

    [Fact]
    public async Task Whatever_happens_to_one_file_opening_gives_a_true_state_or_a_clear_refusal()
    {
        const int segmentBytes = 4 << 10;
        var (states, commands) = RandomCommands.Run(seed: 11, count: 150);
        await using (var ledger = await LedgerMember.OpenAsync(_directory.Path, new LedgerOptions { SegmentBytes = segmentBytes }, Ct))
        {
            foreach (var command in commands) await ledger.ProposeAsync(command, Ct);
        }
        var texts = states.ToDictionary(state => state.Revision, state => state.Text());
        var files = Directory.EnumerateFiles(_directory.Path).Where(file => !file.EndsWith(".lock", StringComparison.Ordinal) && !file.EndsWith(".pid", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToArray();
        // The zeros behind the records would take most of the hits.
        foreach (var file in files.Where(file => file.EndsWith(".seg", StringComparison.Ordinal)))
        {
            var bytes = await File.ReadAllBytesAsync(file, Ct);
            await File.WriteAllBytesAsync(file, bytes[..(bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 50)], Ct);
        }
        await Gen.Int[0, int.MaxValue - 1].SampleAsync(async seed =>
        {
            var random = new Random(seed);
            using var copy = _directory.Copy();
            var victim = Path.Combine(copy.Path, Path.GetFileName(files[random.Next(files.Length)]));
            await File.WriteAllBytesAsync(victim, Corruption.Of(await File.ReadAllBytesAsync(victim, Ct), random), Ct);
            try
            {
                await using var ledger = await LedgerMember.OpenAsync(copy.Path, cancellationToken: Ct);
                Assert.Equal(texts[ledger.State.Revision], ledger.State.Text());
            }
            catch (AisleException)
            {
            }
        }, iter: 150, threads: 1);
    }

    /// <summary>Writes one entry a command and stops cleanly.</summary>
    private async Task<string> WriteAsync(int commands, long segmentBytes = 8 << 20)
    {
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, new LedgerOptions { SegmentBytes = segmentBytes }, Ct);
        for (var i = 0; i < commands; i++) await ledger.ProposeAsync(Move($"n{i % 5}", $"c{i % 3}"), Ct);
        return ledger.State.Text();
    }
}
