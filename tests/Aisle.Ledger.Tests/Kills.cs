using System.Diagnostics;

namespace Aisle.Ledger.Tests;

/// <summary>A real process writes, is killed with SIGKILL, and what it claimed is checked.</summary>
public sealed class Kills : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Every_acknowledged_command_survives_kill_9_at_a_random_moment(int seed)
    {
        var random = new Random(seed);
        var acknowledged = new Dictionary<string, int>();
        for (var round = 0; round < 5; round++)
        {
            // Each round goes on where the last one died; some die among the first acknowledgements, some after segments and snapshots.
            await WriteUntilKilledAsync(acknowledged, killAfter: random.Next(4) == 0 ? random.Next(20) : random.Next(1500));
            await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
            foreach (var (name, version) in acknowledged)
            {
                var there = ledger.State.Names.GetValueOrDefault(name)?.Latest.Number ?? 0;
                // One command of each proposer may be durable and unanswered, none may be missing.
                Assert.True(there == version || there == version + 1, $"seed {seed}, round {round}: {name} is at {there}, {version} was acknowledged");
                for (var i = 0; i < there; i++) Assert.Equal(Make.D($"{name} {i + 1}"), ledger.State.Names[name].History[i].Digest);
                acknowledged[name] = there;
            }
        }
        Assert.Equal(8, acknowledged.Count);
    }

    [Fact]
    public async Task Another_process_cannot_open_a_ledger_in_use_and_can_once_its_owner_is_killed()
    {
        using var writer = Start();
        await writer.StandardOutput.ReadLineAsync(Ct);
        var refused = await Assert.ThrowsAsync<AisleException>(() => LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct));
        Assert.Equal(LedgerCodes.InUse, refused.Code);
        Assert.Contains($"process {writer.Id}", refused.What);
        writer.Kill();
        await writer.WaitForExitAsync(Ct);
        await using var ledger = await LedgerMember.OpenAsync(_directory.Path, cancellationToken: Ct);
    }

    private async Task WriteUntilKilledAsync(Dictionary<string, int> acknowledged, int killAfter)
    {
        using var writer = Start();
        Assert.StartsWith("open ", await writer.StandardOutput.ReadLineAsync(Ct));
        var heard = 0;
        // What the pipe still holds after the kill was claimed too.
        while (await writer.StandardOutput.ReadLineAsync(Ct) is { } line)
        {
            if (line.Split(' ') is not ["ack", var name, var version]) continue;
            acknowledged[name] = int.Parse(version);
            if (heard++ == killAfter) writer.Kill();
        }
        await writer.WaitForExitAsync(Ct);
        Assert.True(heard > killAfter, $"the writer ended by itself after {heard} acknowledgements: {await writer.StandardError.ReadToEndAsync(Ct)}");
    }

    private Process Start() => Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Aisle.Ledger.Tests.Writer.dll"), _directory.Path])
    {
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    })!;
}
