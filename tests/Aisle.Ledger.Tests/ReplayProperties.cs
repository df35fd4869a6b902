using CsCheck;

namespace Aisle.Ledger.Tests;

public sealed class ReplayProperties
{
    [Fact]
    public async Task Log_and_snapshots_give_back_the_state_whenever_the_ledger_restarts()
    {
        var fromSnapshot = 0;
        await RandomCommands.Samples(150).SampleAsync(async sample =>
        {
            var (states, commands) = RandomCommands.Run(sample.Seed, sample.Count);
            var random = new Random(sample.Seed);
            var options = new LedgerOptions { SegmentBytes = 4 << 10 };
            using var directory = new TemporaryDirectory();
            var ledger = await LedgerMember.OpenAsync(directory.Path, options);
            try
            {
                for (var i = 0; i < commands.Length; i++)
                {
                    var answer = await ledger.ProposeAsync(commands[i]);
                    Assert.Equal(states[i].Apply(commands[i]).Answer, answer);
                    if (random.Next(40) != 0) continue;
                    await ledger.DisposeAsync();
                    ledger = await LedgerMember.OpenAsync(directory.Path, options);
                    Assert.Equal(states[i + 1].Text(), ledger.State.Text());
                    if (ledger.Recovery is { SnapshotIndex: > 0, EntriesReplayed: > 0 }) fromSnapshot++;
                }
            }
            finally
            {
                await ledger.DisposeAsync();
            }
            await using var last = await LedgerMember.OpenAsync(directory.Path, options);
            Assert.Equal(states[^1].Text(), last.State.Text());
        }, iter: 12, threads: 1);
        Assert.True(fromSnapshot > 5, $"only {fromSnapshot} restarts began with a snapshot and a tail");
    }
}
