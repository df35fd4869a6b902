using System.Text;
using CsCheck;

namespace Aisle.Serving.Tests;

public sealed class CompletionRequestTests
{
    private const string Valid = """
        {"model":"m","prompt":"über 🙂","max_tokens":12,"temperature":0.5,"top_p":0.9,"top_k":40,"n":1,"stream":true,"stream_options":{"include_usage":true},
         "stop":["\n","END"],"seed":-7,"user":"someone","logprobs":null,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hello"},
         {"role":"assistant","content":"hi"},{"role":"user","content":[{"type":"text","text":"and "},{"type":"text","text":"now"}]}]}
        """;

    [Fact]
    public void Every_field_is_read()
    {
        var request = Parse(Valid, chat: false);
        Assert.Equal("über 🙂", request.Prompt);
        Assert.Equal((12, 0.5, 0.9, 40, unchecked((ulong)-7)), (request.Options.MaxTokens, request.Options.Temperature, request.Options.TopP, request.Options.TopK, request.Options.Seed));
        Assert.Equal(["\n", "END"], request.Options.Stop);
        Assert.True(request is { Stream: true, IncludeUsage: true });
        Assert.Equal("and now", Parse(Valid, chat: true).Prompt);
    }

    [Theory]
    [InlineData("""{"model":"other"}""", "model", 404)]
    [InlineData("""{"max_tokens":0}""", "max_tokens", 400)]
    [InlineData("""{"max_tokens":65}""", "max_tokens", 400)]
    [InlineData("""{"max_tokens":1.5}""", "max_tokens", 400)]
    [InlineData("""{"temperature":-1}""", "temperature", 400)]
    [InlineData("""{"temperature":"hot"}""", "temperature", 400)]
    [InlineData("""{"top_p":0}""", "top_p", 400)]
    [InlineData("""{"n":2}""", "n", 400)]
    [InlineData("""{"stop":["a","b","c","d","e"]}""", "stop", 400)]
    [InlineData("""{"stop":""}""", "stop", 400)]
    [InlineData("""{"prompt":["a","b"]}""", "prompt", 400)]
    [InlineData("""{"prompt":[1,2]}""", "prompt", 400)]
    [InlineData("""{"logprobs":5}""", "logprobs", 400)]
    [InlineData("""{"stream":"yes"}""", "stream", 400)]
    [InlineData("""{"seed":1e30}""", "seed", 400)]
    [InlineData("""{"prompt":"\ud800"}""", null, 400)]
    [InlineData("""{"prompt":"a","prompt":"b"}""", null, 400)]
    [InlineData("[]", null, 400)]
    [InlineData("", null, 400)]
    public void What_cannot_be_done_is_refused_by_name(string body, string? parameter, int status)
    {
        var fault = Assert.Throws<RequestRefusedException>(() => Parse(body, chat: false));
        Assert.Equal((parameter, status), (fault.Parameter, fault.Status));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"messages":[]}""")]
    [InlineData("""{"messages":[{"role":"assistant","content":"a"}]}""")]
    [InlineData("""{"messages":[{"role":"king","content":"a"}]}""")]
    [InlineData("""{"messages":[{"role":"user"}]}""")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}""")]
    [InlineData("""{"messages":["hello"]}""")]
    public void A_chat_without_a_users_text_is_refused(string body) =>
        Assert.Equal("messages", Assert.Throws<RequestRefusedException>(() => Parse(body, chat: true)).Parameter);

    [Fact]
    public void A_damaged_body_is_read_or_refused() =>
        Gen.Select(Gen.Bool, Gen.Int[0, 3], Gen.Int[0, Encoding.UTF8.GetByteCount(Valid) - 1], Gen.Byte.Array[1, 6]).Sample((chat, kind, at, bytes) =>
        {
            var valid = Encoding.UTF8.GetBytes(Valid);
            byte[] damaged = kind switch
            {
                0 => [.. valid[..at], .. bytes, .. valid[Math.Min(valid.Length, at + bytes.Length)..]],
                1 => valid[..at],
                2 => [.. valid[..at], .. bytes, .. valid[at..]],
                _ => [.. valid[..at], .. valid[Math.Min(valid.Length, at + bytes.Length)..]],
            };
            try
            {
                CompletionRequest.Parse(damaged, chat, "m", 64);
            }
            catch (RequestRefusedException fault)
            {
                Assert.InRange(fault.Status, 400, 404);
            }
        }, iter: 20_000);

    private static CompletionRequest Parse(string body, bool chat) => CompletionRequest.Parse(Encoding.UTF8.GetBytes(body), chat, "m", 64);
}
