using Aisle.Api;
using Aisle.Artifacts;

namespace Aisle.Tests.Commands;

public sealed class RunTests : IDisposable
{
    private readonly string _spec = Path.GetTempFileName();

    public RunTests() => File.WriteAllText(_spec, "name: language-model\n");

    public void Dispose() => File.Delete(_spec);

    [Fact]
    public async Task Run_sends_the_file_with_its_overrides()
    {
        await using var server = await FakeDataCentre.StartAsync();
        var typed = await Typed.AtAsync(server, "run", _spec, "--workers", "5", "--set", "a.b=1", "--set", "c=x=y", "--json");
        Assert.Equal("job-1", typed.Json.GetProperty("job").GetString());
        var request = Assert.Single(server.Runs);
        Assert.Equal("name: language-model\n", request.Spec);
        Assert.Equal(["a.b=1", "c=x=y"], request.Sets);
        Assert.Equal(5, request.Workers);
    }

    [Theory]
    [InlineData("succeeded", 0)]
    [InlineData("failed", 1)]
    [InlineData("cancelled", 1)]
    public async Task Run_f_json_ends_with_the_contracts_line(string state, int exit)
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Events["job-1"] = Story(state);
        var typed = await Typed.AtAsync(server, "run", _spec, "-f", "--json");
        Assert.Equal(exit, typed.Exit);
        var lines = typed.JsonLines;
        Assert.Equal(Story(state).Length, lines.Length);
        Assert.Equal($$$"""{"event":"finished","job":"job-1","state":"{{{state}}}","outputs":{"model":"{{{Digest.Of("model")}}}"}}""", typed.Output.TrimEnd('\n').Split('\n')[^1]);
    }

    [Fact]
    public async Task Run_f_tells_the_story_in_lines_and_prints_outputs_as_data()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Events["job-1"] = Story("succeeded");
        var typed = await Typed.AtAsync(server, "run", _spec, "-f");
        Assert.Equal(0, typed.Exit);
        Assert.Equal($"model  {Digest.Of("model")}\n", typed.Output);
        Assert.Contains("extract: succeeded in 2.0 s, 10 in = 7 out + 2 filtered + 1 dead", typed.Error);
        Assert.Contains("clean: known result, no work", typed.Error);
        Assert.Contains("train: step 1/2  loss 6.250  34.1k tokens/s  3 workers", typed.Error);
        Assert.Contains("train: lost worker w2 on node-2 (pid 4242) at step 1", typed.Error);
        Assert.Contains("train: worker w2 is quarantined at step 1: shut out, it computes wrongly", typed.Error);
        Assert.Contains("train: recovered in 0.34 s at step 1, 3 slices computed again by the others", typed.Error);
        Assert.Contains("train | hello from the program", typed.Error);
    }

    [Fact]
    public async Task A_dropped_connection_is_taken_up_again_without_repeating()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Events["job-1"] = Story("succeeded");
        foreach (var cut in (int[])[3, 1, 6]) server.Cuts.Enqueue(cut);
        var typed = await Typed.AtAsync(server, "run", _spec, "-f", "--json");
        Assert.Equal(0, typed.Exit);
        Assert.Equal(Story("succeeded").Select(e => e.Event), typed.JsonLines.Select(line => line.GetProperty("event").GetString()));
    }

    [Fact]
    public async Task Following_is_given_up_when_the_server_stays_away()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Events["job-1"] = Story("succeeded")[..2];
        using var client = new AisleClient(server.Uri, FakeDataCentre.Token);
        var drops = 0;
        var follower = new Aisle.Commands.JobFollower(client, TimeProvider.System) { Patience = TimeSpan.FromMilliseconds(300), Dropped = _ => drops++ };
        var seen = new List<JobEvent>();
        await Assert.ThrowsAsync<ServerUnreachableException>(async () =>
        {
            await foreach (var e in follower.FollowAsync("job-1")) seen.Add(e);
        });
        Assert.Equal(2, seen.Count);
        Assert.Equal(1, drops);
    }

    [Fact]
    public async Task Interrupting_stops_the_following_and_says_so()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Events["job-1"] = Story("succeeded")[..2];
        using var interrupt = new CancellationTokenSource();
        server.Followed = interrupt.Cancel;
        var typed = await Typed.AtAsync(interrupt.Token, "run", _spec, "-f", "--server", server.Url);
        Assert.Equal(130, typed.Exit);
        Assert.Contains("Stopped following; job-1 goes on.", typed.Error);
    }

    [Fact]
    public async Task A_spec_that_cannot_be_read_is_wrong_usage()
    {
        await using var server = await FakeDataCentre.StartAsync();
        Assert.Equal(2, (await Typed.AtAsync(server, "run", "/no/such/spec.yaml")).Exit);
        Assert.Empty(server.Runs);
    }

    [Fact]
    public async Task Logs_tell_what_was_said_and_what_changed()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Events["job-1"] = Story("succeeded");
        var typed = await Typed.AtAsync(server, "logs", "job-1", "-f");
        Assert.Equal(0, typed.Exit);
        Assert.Contains("train | hello from the program\n", typed.Output);
        Assert.Contains("train: running\n", typed.Output);
        Assert.DoesNotContain("step 1/2", typed.Output);
    }

    internal static JobEvent[] Story(string state)
    {
        static DateTimeOffset At(double seconds) => DateTimeOffset.UnixEpoch.AddSeconds(seconds);
        // Each strictly later than the one before, as a server stamps them: a follower that was cut off goes on after the last one it saw.
        return
        [
            new() { Event = "state", Job = "job-1", Title = "language-model", State = "running", At = At(0) },
            new() { Event = "state", Job = "job-2", Title = "language-model/extract", State = "running", At = At(0.001) },
            new() { Event = "progress", Job = "job-2", Done = 5, Total = 10, Unit = "records", At = At(1) },
            new() { Event = "finished", Job = "job-2", State = "succeeded", Counts = new CountsView(10, 7, 2, 1), At = At(2) },
            new() { Event = "finished", Job = "job-3", Title = "language-model/clean", State = "succeeded", FromCache = true, At = At(2.001) },
            new() { Event = "state", Job = "job-4", Title = "language-model/train", State = "running", At = At(2.002) },
            new() { Event = "log", Job = "job-4", Message = "hello from the program", At = At(2.5) },
            new() { Event = "step", Job = "job-4", Step = 1, Steps = 2, Loss = 6.25, TokensPerSecond = 34_120, Workers = 3, At = At(3) },
            new() { Event = "workerLost", Job = "job-4", Worker = "w2", Node = "node-2", Pid = 4242, Step = 1, At = At(3.1) },
            new() { Event = "workerQuarantined", Job = "job-4", Worker = "w2", Step = 1, Message = "shut out, it computes wrongly: its gradient of slice 3 is another", At = At(3.35) },
            new() { Event = "recovered", Job = "job-4", Seconds = 0.34, SlicesRecomputed = 3, Step = 1, At = At(3.4) },
            new() { Event = "step", Job = "job-4", Step = 2, Steps = 2, Loss = 6, TokensPerSecond = 30_000, Workers = 2, At = At(4) },
            new() { Event = "finished", Job = "job-4", State = "succeeded", At = At(5) },
            new()
            {
                Event = "finished", Job = "job-1", State = state, At = At(5.001),
                Outputs = new Dictionary<string, Digest> { ["model"] = Digest.Of("model") },
            },
        ];
    }
}
