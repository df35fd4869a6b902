namespace Aisle.Tests.Commands;

public sealed class AskTests
{
    [Fact]
    public async Task An_answer_streams_to_stdout()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Answer = ["Gets", " the \"value\"", "\n"];
        var typed = await Typed.AtAsync(server, "ask", "docs", "Returns", "--max-tokens", "12", "--temperature", "0.5");
        Assert.Equal(0, typed.Exit);
        Assert.Equal("Gets the \"value\"\n\n", typed.Output);
        Assert.Equal("""{"model":"docs","prompt":"Returns","max_tokens":12,"temperature":0.5,"stream":true}""", Assert.Single(server.Questions));
    }

    [Fact]
    public async Task With_json_the_answer_is_one_document()
    {
        await using var server = await FakeDataCentre.StartAsync();
        var typed = await Typed.AtAsync(server, "ask", "docs", "@Returns", "--json");
        Assert.Equal("a b", typed.Json.GetProperty("text").GetString());
        Assert.Equal("length", typed.Json.GetProperty("finishReason").GetString());
    }
}
