using System.Diagnostics;
using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests;

/// <summary>A real file system with no room left.</summary>
public sealed class FullDisk : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();
    private bool _mounted;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() =>
        _mounted = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && await RunAsync("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", _directory.Path);

    public async ValueTask DisposeAsync()
    {
        if (_mounted) await RunAsync("umount", _directory.Path);
        _directory.Dispose();
    }

    [Fact]
    public async Task A_full_disk_fails_proposals_clearly_and_loses_nothing_acknowledged()
    {
        Assert.SkipUnless(_mounted, "Mounting a small tmpfs needs Linux and root.");
        var filler = Path.Combine(_directory.Path, "filler");
        await File.WriteAllBytesAsync(filler, new byte[2 << 20], Ct);
        var data = Path.Combine(_directory.Path, "ledger");

        var acknowledged = 0;
        await using (var ledger = await LedgerMember.OpenAsync(data, cancellationToken: Ct))
        {
            var failure = await Assert.ThrowsAsync<AisleException>(async () =>
            {
                for (; acknowledged < 100_000; acknowledged++) await ledger.ProposeAsync(Move($"n{acknowledged}", "x"), Ct);
            });
            Assert.Equal(LedgerCodes.WriteFailed, failure.Code);
            Assert.Contains("room", failure.Next);

            // Final, room or no room: nothing more is written by this process.
            File.Delete(filler);
            Assert.Same(failure, await Assert.ThrowsAsync<AisleException>(() => ledger.ProposeAsync(Move("late", "x"), Ct)));
            Assert.Same(failure, await Assert.ThrowsAsync<AisleException>(() => ledger.WaitPastAsync(acknowledged, Ct)));
            Assert.Equal(acknowledged, ledger.State.Revision);
        }
        Assert.True(acknowledged > 500, $"the disk was full after {acknowledged}");
        await using var again = await LedgerMember.OpenAsync(data, cancellationToken: Ct);
        Assert.True(again.State.Revision >= acknowledged);
        for (var i = 0; i < acknowledged; i++) Assert.True(again.State.Names.ContainsKey($"n{i}"));
        Assert.IsType<Done>(await again.ProposeAsync(Move("after", "x"), Ct));
    }

    [Fact]
    public async Task A_ledger_on_a_full_disk_still_opens()
    {
        Assert.SkipUnless(_mounted, "Mounting a small tmpfs needs Linux and root.");
        var data = Path.Combine(_directory.Path, "ledger");
        var acknowledged = 0;
        await using (var ledger = await LedgerMember.OpenAsync(data, cancellationToken: Ct))
        {
            await Assert.ThrowsAsync<AisleException>(async () =>
            {
                for (; acknowledged < 100_000; acknowledged++) await ledger.ProposeAsync(Move($"n{acknowledged}", "x"), Ct);
            });
        }
        await using var again = await LedgerMember.OpenAsync(data, cancellationToken: Ct);
        Assert.True(again.State.Revision >= acknowledged);
    }

    private static async Task<bool> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true });
        if (process is null) return false;
        await process.WaitForExitAsync();
        return process.ExitCode == 0;
    }
}
