using System.Diagnostics;

namespace Aisle.Ledger.Tests.Chaos;

/// <summary>The disk of one member of three has no room left: it ends, the others go on, and with room it comes back.</summary>
public sealed class FullDiskOfOne
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_member_whose_disk_is_full_ends_and_comes_back_once_there_is_room()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "Mounting a small tmpfs needs Linux and root.");
        using var members = new MemberProcesses(3);
        var small = members.DirectoryOf(1);
        Directory.CreateDirectory(small);
        Assert.SkipUnless(await RunAsync("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small), "A small tmpfs could not be mounted here.");
        using var stop = new CancellationTokenSource();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        List<ChaosClient> clients = [new(members, 1), new(members, 2)];
        List<Task> running = [];
        try
        {
            var course = new ChaosCourse(members, new Random(1), "full disk") { Clients = clients };
            for (var member = 1; member <= 3; member++) members.Start(member);
            running.AddRange(clients.Select(client => client.RunAsync(stop.Token, ending.Token)));
            await course.ProgressAsync(Ct);

            var filler = Path.Combine(small, "filler");
            Assert.Throws<IOException>(() => File.WriteAllBytes(filler, new byte[4 << 20]));
            Assert.Equal(3, await members.ExitAsync(1, Ct));
            lock (members.Errors) Assert.Contains(members.Errors, line => line.Contains(LedgerCodes.WriteFailed, StringComparison.Ordinal));
            await course.ProgressAsync(Ct);

            File.Delete(filler);
            members.Start(1);
            await course.ProgressAsync(Ct);
            await stop.CancelAsync();
            await Task.WhenAll(running).WaitAsync(Ct);
            await course.CheckEndAsync(Ct);
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(running).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            members.Kill(1);
            await RunAsync("umount", small);
        }
    }

    private static async Task<bool> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true });
        if (process is null) return false;
        await process.WaitForExitAsync();
        return process.ExitCode == 0;
    }
}
