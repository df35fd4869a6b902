using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace Aisle.Scenarios;

/// <summary>Bodies and paths from outside: each is refused with a clear error or understood, and the node goes on.</summary>
public sealed class HostileRequestScenarios
{
    private static readonly (HttpMethod Method, string Path, string Body)[] Requests =
    [
        (HttpMethod.Post, "v1/jobs", """{"spec":"name: x\nsteps: {}","sets":["a=b"],"workers":3}"""),
        (HttpMethod.Put, "v1/names/data/x", """{"digest":"sha256:18ac3e7343f016890c510e93f935261169d9e3f565436429830faf0934f4f8e4","expected":1}"""),
        (HttpMethod.Post, "v1/aliases/data/x", """{"alias":"production","version":"latest"}"""),
        (HttpMethod.Post, "v1/verify", """{"target":"data/x","sample":0.5}"""),
        (HttpMethod.Post, "v1/endpoints", """{"model":"data/x","endpoint":"e","replicas":1}"""),
        (HttpMethod.Post, "v1/completions", """{"model":"e","prompt":"hello","max_tokens":5}"""),
        (HttpMethod.Post, "v1/chat/completions", """{"model":"e","messages":[{"role":"user","content":"hi"}]}"""),
        (HttpMethod.Post, "v1/agents/report", """{"node":"node-9","incarnation":"x","url":"http://127.0.0.1:1/","pid":1,"dir":"/","slots":0,"cores":1,"numericClass":"x","shards":0,"storedBytes":0,"freeBytes":0,"corruptionsFound":0,"repaired":0,"processes":[],"events":[]}"""),
        (HttpMethod.Post, "v1/store/missing", "0123456789abcdef0123456789abcdef"),
        (HttpMethod.Put, "v1/store/shards/18ac3e7343f016890c510e93f935261169d9e3f565436429830faf0934f4f8e4", "not a shard at all"),
    ];

    [Fact]
    public async Task Damaged_bodies_are_refused_with_an_error_that_has_a_code_and_a_next_step()
    {
        await using var dataCentre = await DataCentre.StartAsync(nodes: 1);
        using var http = Client(dataCentre);
        var random = new Random(4711);
        foreach (var (method, path, body) in Requests)
        {
            for (var round = 0; round < 40; round++)
            {
                var bytes = Damage(Encoding.UTF8.GetBytes(body), random);
                using var request = new HttpRequestMessage(method, path) { Content = new ByteArrayContent(bytes) };
                request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                using var answer = await http.SendAsync(request, TestContext.Current.CancellationToken);
                var said = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
                var sent = $"{method} {path} round {round}: {Convert.ToBase64String(bytes)} -> {(int)answer.StatusCode} {said}";
                Assert.True((int)answer.StatusCode < 500 || answer.StatusCode == HttpStatusCode.ServiceUnavailable, sent);
                if (!answer.IsSuccessStatusCode)
                {
                    var error = JsonNode.Parse(said)?["error"];
                    Assert.True(error?["code"]?.GetValue<string>().StartsWith("AISLE-", StringComparison.Ordinal) == true && error["next"]?.GetValue<string>().Length > 0, sent);
                }
            }
        }
        Assert.Equal(0, (await dataCentre.RunAsync("status")).ExitCode);
    }

    [Theory]
    [InlineData("v1/store/chunks/..%2f..%2ftoken")]
    [InlineData("v1/store/chunks/zz")]
    [InlineData("v1/replica/shards/..%2f..%2f..%2ftoken")]
    [InlineData("v1/jobs/job-99999999999999999999")]
    [InlineData("v1/jobs/job-1%00")]
    [InlineData("v1/resolve?target=../../etc/passwd")]
    [InlineData("v1/lineage?target=%ff%fe")]
    public async Task Odd_paths_reach_nothing(string path)
    {
        await using var dataCentre = await DataCentre.StartAsync(nodes: 1);
        using var http = Client(dataCentre);
        using var answer = await http.GetAsync(path, TestContext.Current.CancellationToken);
        Assert.InRange((int)answer.StatusCode, 400, 499);
    }

    [Fact]
    public async Task Torn_slow_and_oversized_requests_harm_nobody_else()
    {
        await using var dataCentre = await DataCentre.StartAsync(nodes: 1);
        var url = new Uri(dataCentre.Ready["url"]!.GetValue<string>());
        var token = (await File.ReadAllTextAsync(dataCentre.Ready["tokenFile"]!.GetValue<string>(), TestContext.Current.CancellationToken)).Trim();
        var open = new List<TcpClient>();
        foreach (var text in (string[])
        [
            "GET / HT",
            "\0\0\0\0\u0001garbage",
            $"PUT /v1/store/shards/{new string('a', 64)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 1000000\r\n\r\nonly this",
            $"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 99999999999\r\n\r\n",
        ])
        {
            var socket = new TcpClient();
            await socket.ConnectAsync(url.Host, url.Port, TestContext.Current.CancellationToken);
            await socket.GetStream().WriteAsync(Encoding.Latin1.GetBytes(text), TestContext.Current.CancellationToken);
            open.Add(socket);
        }
        // While they hang there half-open, a put goes through.
        await dataCentre.JsonAsync("put", "data/text", SampleText.Write(dataCentre.Root, files: 1));
        foreach (var socket in open) socket.Dispose();
        Assert.Equal(0, (await dataCentre.RunAsync("get", "data/text", Path.Combine(dataCentre.Root, "back"))).ExitCode);
    }

    private static HttpClient Client(DataCentre dataCentre)
    {
        var http = new HttpClient { BaseAddress = new Uri(dataCentre.Ready["url"]!.GetValue<string>()) };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", File.ReadAllText(dataCentre.Ready["tokenFile"]!.GetValue<string>()).Trim());
        return http;
    }

    private static byte[] Damage(byte[] bytes, Random random)
    {
        for (var times = random.Next(1, 4); times > 0; times--)
        {
            var at = random.Next(bytes.Length + 1);
            bytes = random.Next(4) switch
            {
                0 => bytes[..at],
                1 => [.. bytes[..at], (byte)random.Next(256), .. bytes[at..]],
                2 when at < bytes.Length => [.. bytes[..at], (byte)random.Next(256), .. bytes[(at + 1)..]],
                _ => [.. bytes[..at], .. Encoding.UTF8.GetBytes(random.Next(2) == 0 ? "null" : "[[[[[["), .. bytes[at..]],
            };
        }
        return bytes;
    }
}
