using Aisle.Api;
using Aisle.Artifacts;

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
