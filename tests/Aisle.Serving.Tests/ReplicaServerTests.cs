using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using CsCheck;

namespace Aisle.Serving.Tests;

public sealed class ReplicaServerTests(SmallModel model) : IClassFixture<SmallModel>
{
    private const string Token = "a-token-for-the-tests";

    [Fact]
    public async Task A_completion_has_text_reason_and_counts()
    {
        await using var server = await StartAsync();
        using var client = Client(server);
        using var answer = await JsonAsync(await PostAsync(client, "/v1/completions", """{"model":"models/small","prompt":"The house","max_tokens":9,"temperature":0}"""));
        var root = answer.RootElement;
        Assert.Equal("text_completion", root.GetProperty("object").GetString());
        Assert.Equal(SmallModel.Name, root.GetProperty("model").GetString());
        var choice = root.GetProperty("choices")[0];
        var expected = model.Generator.Start("The house", new GenerationOptions { MaxTokens = 9, Temperature = 0 });
        Assert.Equal(string.Concat(expected.Run()), choice.GetProperty("text").GetString());
        Assert.Equal("length", choice.GetProperty("finish_reason").GetString());
        var usage = root.GetProperty("usage");
        Assert.Equal((expected.PromptTokens, 9, expected.PromptTokens + 9),
            (usage.GetProperty("prompt_tokens").GetInt32(), usage.GetProperty("completion_tokens").GetInt32(), usage.GetProperty("total_tokens").GetInt32()));
    }

    [Fact]
    public async Task A_chat_continues_the_users_last_text()
    {
        await using var server = await StartAsync();
        using var client = Client(server);
        using var answer = await JsonAsync(await PostAsync(client, "/v1/chat/completions",
            """{"messages":[{"role":"user","content":"no"},{"role":"user","content":"The house"}],"max_tokens":9,"temperature":0}"""));
        var message = answer.RootElement.GetProperty("choices")[0].GetProperty("message");
        Assert.Equal("assistant", message.GetProperty("role").GetString());
        Assert.Equal(string.Concat(model.Generator.Start("The house", new GenerationOptions { MaxTokens = 9, Temperature = 0 }).Run()), message.GetProperty("content").GetString());
    }

    [Theory]
    [InlineData("/v1/completions", """{"prompt":"The house","max_tokens":20,"seed":4,"stream":true,"stream_options":{"include_usage":true}}""")]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"The house"}],"max_tokens":20,"seed":4,"stream":true,"stream_options":{"include_usage":true}}""")]
    public async Task A_stream_gives_the_same_text_in_pieces_then_the_reason_the_counts_and_done(string path, string body)
    {
        await using var server = await StartAsync();
        using var client = Client(server);
        using var response = await PostAsync(client, path, body);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var events = (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.All(events, line => Assert.StartsWith("data: ", line));
        Assert.Equal("data: [DONE]", events[^1]);
        var chunks = events[..^1].Select(line => JsonDocument.Parse(line["data: ".Length..]).RootElement).ToList();
        var text = string.Concat(chunks.SkipLast(1).Select(chunk => chunk.GetProperty("choices")[0]).Select(choice =>
            choice.TryGetProperty("text", out var piece) || (choice.GetProperty("delta").TryGetProperty("content", out piece)) ? piece.GetString() : ""));
        Assert.Equal(string.Concat(model.Generator.Start("The house", new GenerationOptions { MaxTokens = 20, Seed = 4 }).Run()), text);
        Assert.Equal("length", chunks[^2].GetProperty("choices")[0].GetProperty("finish_reason").GetString());
        Assert.All(chunks.SkipLast(2), chunk => Assert.Equal(JsonValueKind.Null, chunk.GetProperty("choices")[0].GetProperty("finish_reason").ValueKind));
        Assert.Equal(20, chunks[^1].GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        Assert.Single(chunks.Select(chunk => chunk.GetProperty("id").GetString()).Distinct());
    }

    [Fact]
    public async Task Without_the_token_only_the_health_is_told()
    {
        await using var server = await StartAsync();
        using var client = Client(server);
        foreach (var header in new AuthenticationHeaderValue?[] { null, new("Bearer", "a-token-for-the-tesst"), new("Bearer", "a-token"), new("Basic", Token) })
        {
            client.DefaultRequestHeaders.Authorization = header;
            foreach (var response in new[] { await client.GetAsync(new Uri("/v1/models", UriKind.Relative)), await PostAsync(client, "/v1/completions", "{}"), await PostAsync(client, "/v1/chat/completions", "{}") })
            {
                Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
                using var error = await JsonAsync(response);
                Assert.Equal("invalid_api_key", error.RootElement.GetProperty("error").GetProperty("code").GetString());
            }
        }

        using var health = await JsonAsync(await client.GetAsync(new Uri("/healthz", UriKind.Relative)));
        Assert.Equal("ok", health.RootElement.GetProperty("status").GetString());
    }

    [Fact]
    public async Task The_models_list_names_the_one_model()
    {
        await using var server = await StartAsync();
        using var client = Client(server);
        using var list = await JsonAsync(await client.GetAsync(new Uri("/v1/models", UriKind.Relative)));
        Assert.Equal(SmallModel.Name, list.RootElement.GetProperty("data")[0].GetProperty("id").GetString());
    }

    [Fact]
    public async Task A_full_house_answers_429_with_a_time_to_come_back_and_serves_those_inside()
    {
        await using var server = await StartAsync(concurrency: 1, queue: 1);
        using var client = Client(server);
        // The only slot is taken from inside, so nothing depends on how fast the model is.
        var slot = await server.Replica.Admission.EnterAsync(default);
        var waiting = PostAsync(client, "/v1/completions", """{"prompt":"a","max_tokens":1}""");
        await UntilAsync(() => server.Replica.Active == 2);
        using var refused = await PostAsync(client, "/v1/completions", """{"prompt":"b","max_tokens":1}""");
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.NotNull(refused.Headers.RetryAfter);
        slot!.Dispose();
        Assert.Equal(HttpStatusCode.OK, (await waiting).StatusCode);
        await UntilAsync(() => server.Replica.Active == 0);
    }

    [Fact]
    public async Task A_client_that_hangs_up_frees_its_place_whether_it_waits_or_reads_a_stream()
    {
        await using var server = await StartAsync(concurrency: 1, queue: 4);
        var slot = await server.Replica.Admission.EnterAsync(default);
        using (await RawAsync(server, """{"prompt":"a","max_tokens":60,"stream":true}"""))
        {
            await UntilAsync(() => server.Replica.Active == 2);
        }

        await UntilAsync(() => server.Replica.Active == 1);
        slot!.Dispose();
        for (var i = 0; i < 5; i++)
        {
            using var socket = await RawAsync(server, """{"prompt":"a","max_tokens":60,"stream":true}""");
            Assert.True(await socket.ReceiveAsync(new byte[1]) > 0);
        }

        await UntilAsync(() => server.Replica.Active == 0);
        using var client = Client(server);
        Assert.Equal(HttpStatusCode.OK, (await PostAsync(client, "/v1/completions", """{"prompt":"a"}""")).StatusCode);
    }

    [Fact]
    public async Task A_body_over_the_limit_is_refused()
    {
        await using var server = await StartAsync();
        using var client = Client(server);
        using var response = await PostAsync(client, "/v1/completions", $$"""{"prompt":"{{new string('a', 1 << 20)}}"}""");
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        using var error = await JsonAsync(response);
        Assert.Equal("invalid_request_error", error.RootElement.GetProperty("error").GetProperty("type").GetString());
    }

    [Fact]
    public async Task A_damaged_body_gets_an_answer_in_OpenAIs_shape_and_never_a_server_error()
    {
        await using var server = await StartAsync();
        using var client = Client(server);
        var valid = """{"messages":[{"role":"user","content":"The house"}],"prompt":"x","max_tokens":2,"stop":["a"],"seed":1}"""u8.ToArray();
        await Gen.Select(Gen.Int[0, valid.Length - 1], Gen.Byte.Array[0, 4], Gen.Bool).SampleAsync(async (at, bytes, chat) =>
        {
            byte[] damaged = [.. valid[..at], .. bytes, .. valid[Math.Min(valid.Length, at + bytes.Length + 1)..]];
            using var content = new ByteArrayContent(damaged);
            using var response = await client.PostAsync(new Uri(chat ? "/v1/chat/completions" : "/v1/completions", UriKind.Relative), content);
            Assert.Contains(response.StatusCode, (HttpStatusCode[])[HttpStatusCode.OK, HttpStatusCode.BadRequest]);
            using var answer = await JsonAsync(response);
            Assert.True(answer.RootElement.TryGetProperty(response.StatusCode == HttpStatusCode.OK ? "choices" : "error", out _));
        }, iter: 300, threads: 1);
    }

    [Fact]
    public async Task An_address_in_use_and_a_folder_without_a_model_say_so()
    {
        await using var server = await StartAsync();
        Assert.Equal("AISLE-6004", (await Assert.ThrowsAsync<AisleException>(() => ReplicaServer.StartAsync(Options() with { Url = server.Url.ToString() }))).Code);
        Assert.Equal("AISLE-6004", (await Assert.ThrowsAsync<AisleException>(() => ReplicaServer.StartAsync(Options() with { Url = "nonsense" }))).Code);
        Assert.Equal("AISLE-5022", (await Assert.ThrowsAsync<AisleException>(() => ReplicaServer.StartAsync(Options() with { ModelFolder = "/nowhere" }))).Code);
    }

    [Fact]
    public async Task Many_clients_at_once_all_get_their_own_answer()
    {
        await using var server = await StartAsync(concurrency: 2, queue: 64);
        using var client = Client(server);
        var answers = await Task.WhenAll(Enumerable.Range(0, 24).Select(async i =>
        {
            using var answer = await JsonAsync(await PostAsync(client, "/v1/completions", $$"""{"prompt":"The","max_tokens":12,"seed":{{i % 4}}}"""));
            return (Seed: i % 4, Text: answer.RootElement.GetProperty("choices")[0].GetProperty("text").GetString());
        }));
        Assert.All(answers, answer => Assert.Equal(string.Concat(model.Generator.Start("The", new GenerationOptions { MaxTokens = 12, Seed = (ulong)answer.Seed }).Run()), answer.Text));
        Assert.Equal(24, server.Replica.Requests);
    }

    private ReplicaOptions Options() => new() { ModelFolder = model.Folder, ModelName = SmallModel.Name, Token = Token };

    private Task<ReplicaServer> StartAsync(int concurrency = 2, int queue = 8) => ReplicaServer.StartAsync(Options() with { Concurrency = concurrency, QueueLength = queue });

    private static HttpClient Client(ReplicaServer server)
    {
        var client = new HttpClient { BaseAddress = server.Url };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Token);
        return client;
    }

    private static async Task<HttpResponseMessage> PostAsync(HttpClient client, string path, string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        return await client.PostAsync(new Uri(path, UriKind.Relative), content);
    }

    private static async Task<JsonDocument> JsonAsync(HttpResponseMessage response) => JsonDocument.Parse(await response.Content.ReadAsStringAsync());

    // A bare socket: closing it is a client that hangs up, with no pool in between.
    private static async Task<Socket> RawAsync(ReplicaServer server, string body)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, server.Url.Port);
        await socket.SendAsync(Encoding.UTF8.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {Token}\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));
        return socket;
    }

    // What is waited for always comes; the limit only turns a hang into a failure.
    private static async Task UntilAsync(Func<bool> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!condition()) await Task.Delay(5, limit.Token);
    }
}
