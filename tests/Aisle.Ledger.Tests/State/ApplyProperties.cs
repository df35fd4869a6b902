using CsCheck;

namespace Aisle.Ledger.Tests.State;

public sealed class ApplyProperties
{
    [Fact]
    public void No_command_throws_and_each_one_moves_the_revision_by_one() => RandomCommands.Samples(120).Sample(sample =>
    {
        var (states, _) = RandomCommands.Run(sample.Seed, sample.Count, holes: true);
        for (var i = 0; i < states.Length; i++) Assert.Equal(i, states[i].Revision);
    }, iter: 200, threads: 1);

    [Fact]
    public void What_is_kept_twice_agrees() => RandomCommands.Samples(120).Sample(sample =>
    {
        foreach (var state in RandomCommands.Run(sample.Seed, sample.Count, holes: true).States)
        {
            Assert.Equal(state.Jobs.Values.Where(job => !job.IsFinished).Select(job => job.Id), state.Live.Order());
            Assert.Equal(state.Jobs.Values.Where(job => job.IsFinished).Select(job => job.Id), state.Finished.Order());
            Assert.All(state.Jobs.Values, job =>
            {
                Assert.Equal(job.State == JobState.Running, !job.Placements.IsEmpty);
                Assert.Equal(job.IsFinished, job.FinishedAt is not null);
                Assert.InRange(job.Id.Number, 1, state.LastJobNumber);
                Assert.All(job.Placements, placement => Assert.True(LedgerGrammar.ProcessNumber(placement.Process) < job.NextProcess));
                if (job.Parent is { } parent && !job.IsFinished) Assert.False(state.Jobs[parent].IsFinished, $"{job.Id} runs and nobody wants it");
            });
            Assert.All(state.Endpoints.Values, endpoint => Assert.True(state.Jobs.ContainsKey(endpoint.Job)));
            Assert.All(state.Results.Values, result => Assert.All(result.Outputs.Values, output => Assert.Contains(output, state.ProducerOf(output)!.Outputs.Values)));
            Assert.All(state.Results.Values, result => Assert.True(result.Counts?.AddsUp ?? true));
        }
    }, iter: 100, threads: 1);

    [Fact]
    public void The_generator_reaches_every_answer()
    {
        var seen = new HashSet<string>();
        for (var seed = 0; seed < 100; seed++)
        {
            var (states, commands) = RandomCommands.Run(seed, 120);
            for (var i = 0; i < commands.Length; i++)
            {
                seen.Add(commands[i].GetType().Name + (states[i].Apply(commands[i]).Answer is Refused refused ? " " + refused.Code : " accepted"));
            }
        }
        foreach (var type in typeof(LedgerCommand).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(LedgerCommand)))) Assert.Contains(type.Name + " accepted", seen);
        foreach (var code in new[] { LedgerCodes.Divergence, LedgerCodes.CountsDoNotAddUp, LedgerCodes.JobFinished })
        {
            Assert.Contains("FinishJob " + code, seen);
        }
        Assert.Contains("PlaceJob " + LedgerCodes.ProcessReused, seen);
        Assert.Contains("MoveName " + LedgerCodes.VersionConflict, seen);
    }

    [Fact]
    public void State_and_commands_come_back_from_JSON_as_they_went_in() => RandomCommands.Samples(80).Sample(sample =>
    {
        var (states, commands) = RandomCommands.Run(sample.Seed, sample.Count);
        var state = LedgerCodec.ReadState(LedgerCodec.Write(states[^1]));
        Assert.Equal(states[^1].Text(), state.Text());
        var replayed = LedgerState.Empty;
        foreach (var command in commands)
        {
            var written = LedgerCodec.Write(command);
            Assert.Equal(written, LedgerCodec.Write(LedgerCodec.ReadCommand(written)));
            (replayed, _) = replayed.Apply(LedgerCodec.ReadCommand(written));
        }
        Assert.Equal(states[^1].Text(), replayed.Text());
    }, iter: 100, threads: 1);

    [Fact]
    public void A_snapshot_gives_back_the_state_and_broken_ones_are_refused_and_never_more_than_refused() => Gen.Select(RandomCommands.Samples(80), Gen.Int[0, int.MaxValue - 1]).Sample((sample, seed) =>
    {
        var state = RandomCommands.Run(sample.Seed, sample.Count).States[^1];
        var to = new MemoryStream();
        SnapshotCodec.Write(state, to);
        Assert.Equal(state.Text(), SnapshotCodec.Read(new MemoryStream(to.ToArray())).Text());
        try
        {
            SnapshotCodec.Read(new MemoryStream(Corruption.Of(to.ToArray(), new Random(seed))));
        }
        catch (AisleException)
        {
        }
    }, iter: 1000, threads: 1);

    [Fact]
    public void A_state_read_back_goes_on_as_the_one_that_was_written() => RandomCommands.Samples(80).Sample(sample =>
    {
        var (states, commands) = RandomCommands.Run(sample.Seed, sample.Count);
        var middle = sample.Count / 2;
        var state = LedgerCodec.ReadState(LedgerCodec.Write(states[middle]));
        for (var i = middle; i < commands.Length; i++) (state, _) = state.Apply(commands[i]);
        Assert.Equal(states[^1].Text(), state.Text());
    }, iter: 100, threads: 1);

    [Fact]
    public void Broken_JSON_is_refused_and_never_more_than_refused() => Gen.Select(RandomCommands.Samples(30), Gen.Int[0, int.MaxValue - 1]).Sample((sample, seed) =>
    {
        var (states, commands) = RandomCommands.Run(sample.Seed, sample.Count + 1);
        var random = new Random(seed);
        Read(Corruption.Of(LedgerCodec.Write(states[^1]), random), bytes => LedgerCodec.ReadState(bytes));
        Read(Corruption.Of(LedgerCodec.Write(commands[^1]), random), bytes => LedgerCodec.ReadCommand(bytes));

        // What does read may be odd, but it must not break a rule's promise to answer.
        void Read(byte[] bytes, Func<byte[], object> read)
        {
            try
            {
                if (read(bytes) is LedgerCommand command) states[^1].Apply(command);
            }
            catch (AisleException)
            {
            }
        }
    }, iter: 1000, threads: 1);
}
