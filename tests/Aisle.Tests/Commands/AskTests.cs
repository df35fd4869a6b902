using System.Text;
using CsCheck;

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

    [Fact]
    public async Task A_damaged_answer_is_refused_and_never_crashes()
    {
        await using var server = await FakeDataCentre.StartAsync();
        using var client = new Aisle.Api.AisleClient(server.Uri, FakeDataCentre.Token);
        var whole = Encoding.UTF8.GetBytes("data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"text\":\" b\"}]}\n\ndata: [DONE]\n\n");
        var damage =
            from at in Gen.Int[0, whole.Length - 1]
            from bytes in Gen.Byte.Array[0, 4]
            from cut in Gen.Int[0, 8]
            select (byte[])[.. whole[..at], .. bytes, .. whole[Math.Min(whole.Length, at + cut)..]];
        await damage.SampleAsync(async raw =>
        {
            server.RawAnswer = raw;
            try
            {
                await foreach (var _ in Aisle.Commands.Completions.StreamAsync(client, "docs", "p", null, null))
                {
                }
            }
            catch (AisleException e)
            {
                Assert.Equal("AISLE-7054", e.Code);
            }
        }, iter: 300, threads: 1);
    }
}
