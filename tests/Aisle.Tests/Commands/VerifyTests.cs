using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Head;

namespace Aisle.Tests.Commands;

public sealed class VerifyTests
{
    [Theory]
    [InlineData("same", "succeeded", true)]
    [InlineData("other", "succeeded", false)]
    [InlineData("same", "failed", false)]
    public async Task Digests_are_shown_side_by_side_and_decide(string computed, string state, bool ok)
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Verification = new VerifyAcceptedView("job-9", Digest.Of("same"), "model", 200, 300);
        server.Events["job-9"] =
        [
            new() { Event = "finished", Job = "job-9", State = state, Outputs = new Dictionary<string, Digest> { ["model"] = Digest.Of(computed) } },
        ];
        var plain = await Typed.AtAsync(server, "verify", "models/x", "--from-step", "200");
        Assert.Equal(ok ? 0 : 1, plain.Exit);
        Assert.Equal($"expected     {Digest.Of("same")}\nre-executed  {Digest.Of(computed)}\n", plain.Output);

        var last = (await Typed.AtAsync(server, "verify", "models/x", "--json")).JsonLines[^1];
        Assert.Equal("finished", last.GetProperty("event").GetString());
        Assert.Equal(ok, last.GetProperty("ok").GetBoolean());
        Assert.Equal(Digest.Of(computed).ToString(), last.GetProperty("reexecuted").GetString());
        Assert.Equal((200, 300), (last.GetProperty("fromStep").GetInt64(), last.GetProperty("toStep").GetInt64()));
        Assert.Equal("job-9", last.GetProperty("job").GetString());
    }

    [Theory]
    [InlineData("state-30", true)]
    [InlineData("another", false)]
    public async Task A_sample_is_equal_when_every_stretch_is(string computed, bool ok)
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Verification = new VerifyAcceptedView("job-8", Digest.Of("model"), "model", 20, 60,
            [new("job-8", Digest.Of("state-30"), "state", 20, 30), new("job-9", Digest.Of("model"), "model", 50, 60)], Of: 6);
        server.Events["job-8"] = [new() { Event = "finished", Job = "job-8", State = "succeeded", Outputs = new Dictionary<string, Digest> { ["state"] = Digest.Of(computed) } }];
        server.Events["job-9"] = [new() { Event = "finished", Job = "job-9", State = "succeeded", Outputs = new Dictionary<string, Digest> { ["model"] = Digest.Of("model") } }];

        var plain = await Typed.AtAsync(server, "verify", "models/x", "--sample", "0.2", "--seed", "7");
        Assert.Equal(ok ? 0 : 1, plain.Exit);
        Assert.Contains($"steps 20 to 30  {Digest.Of("state-30")}  {(ok ? "equal" : "DIFFERS")}", plain.Output, StringComparison.Ordinal);
        Assert.Contains($"steps 50 to 60  {Digest.Of("model")}  equal", plain.Output, StringComparison.Ordinal);
        if (ok) Assert.Contains("2 of 6 stretches (seed 7)", plain.Error, StringComparison.Ordinal);

        var last = (await Typed.AtAsync(server, "verify", "models/x", "--sample", "0.2", "--json")).JsonLines[^1];
        Assert.Equal(ok, last.GetProperty("ok").GetBoolean());
        Assert.Equal([ok, true], last.GetProperty("stretches").EnumerateArray().Select(stretch => stretch.GetProperty("ok").GetBoolean()));
        Assert.Equal(Digest.Of("model").ToString(), last.GetProperty("reexecuted").GetString());
    }

    [Fact]
    public void A_sample_has_the_share_asked_for_the_last_stretch_and_no_favourites()
    {
        var drawn = new int[10];
        for (var seed = 0; seed < 2000; seed++)
        {
            var sample = SampleOfStretches.Draw(10, 0.3, seed);
            Assert.Equal(sample, SampleOfStretches.Draw(10, 0.3, seed));
            Assert.Equal(3, sample.Distinct().Count());
            Assert.Equal(sample.Order(), sample);
            foreach (var stretch in sample) drawn[stretch]++;
        }
        Assert.Equal(2000, drawn[9]);
        Assert.All(drawn[..9], count => Assert.InRange(count, 350, 540)); // 444 expected
        Assert.Equal([0, 1], SampleOfStretches.Draw(2, 0.01, 1));
        Assert.Equal([0], SampleOfStretches.Draw(1, 0.5, 1));
    }

    [Fact]
    public async Task A_reexecution_without_an_output_differs()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Verification = new VerifyAcceptedView("job-9", Digest.Of("same"), "model", null, null);
        server.Events["job-9"] = [new() { Event = "finished", Job = "job-9", State = "succeeded" }];
        var last = (await Typed.AtAsync(server, "verify", "models/x", "--json")).JsonLines[^1];
        Assert.False(last.GetProperty("ok").GetBoolean());
        Assert.Equal(System.Text.Json.JsonValueKind.Null, last.GetProperty("reexecuted").ValueKind);
    }
}
