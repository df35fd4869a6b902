using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json;
using Aisle.Api;
using Aisle.Artifacts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Aisle.Tests;

/// <summary>A data centre as the command line sees it: real HTTP on loopback and a real disk store, with jobs that are scripts of events.</summary>
public sealed class FakeDataCentre : IAsyncDisposable
{
    public const string Token = "token-for-tests";
    private readonly WebApplication _app;
    private readonly string _dir;
    private readonly DiskStore _store;
    private readonly ConcurrentDictionary<string, List<NameView>> _names = new();

    private FakeDataCentre(string dir, DiskStore store)
    {
        (_dir, _store) = (dir, store);
        Jobs["job-1"] = Job("job-1");
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.Use(AuthorizeAsync);
        MapContent();
        MapNames();
        MapJobs();
    }

    /// <summary>What <c>--server</c> gets.</summary>
    public string Url => _app.Urls.First();

    public Uri Uri => new(Url + "/");

    /// <summary>Job → its events. Served from the first on each connection.</summary>
    public ConcurrentDictionary<string, JobEvent[]> Events { get; } = new();

    public ConcurrentDictionary<string, JobView> Jobs { get; } = new();

    /// <summary>Called when somebody has begun to follow a job, and has been sent its events.</summary>
    public Action? Followed { get; set; }

    /// <summary>Job → its step log.</summary>
    public ConcurrentDictionary<string, byte[]> Steps { get; } = new();

    /// <summary>Job → what is answered to whoever wants a state of it made again.</summary>
    public ConcurrentDictionary<string, ReplayAcceptedView> Replays { get; } = new();

    /// <summary>Run requests that came, oldest first.</summary>
    public ConcurrentQueue<RunRequest> Runs { get; } = new();

    /// <summary>After how many events each next connection is cut, in order; then no more cuts.</summary>
    public ConcurrentQueue<int> Cuts { get; } = new();

    public VerifyAcceptedView? Verification { get; set; }

    public LineageView? Lineage { get; set; }

    /// <summary>What endpoints answer, in pieces.</summary>
    public string[] Answer { get; set; } = ["a", " b"];

    /// <summary>What a streaming completion sends instead of <see cref="Answer"/>.</summary>
    public byte[]? RawAnswer { get; set; }

    /// <summary>Bodies sent to the completion endpoints.</summary>
    public ConcurrentQueue<string> Questions { get; } = new();

    public static async Task<FakeDataCentre> StartAsync()
    {
        var dir = Directory.CreateTempSubdirectory("aisle-tests-").FullName;
        var server = new FakeDataCentre(dir, await DiskStore.OpenAsync(Path.Combine(dir, "store")));
        await server._app.StartAsync();
        return server;
    }

    public static JobView Job(string id, string state = "running") => new()
    {
        Job = id, Title = "language-model", Kind = "pipeline", State = state, Spec = Digest.Of("spec"), Identity = Digest.Of(id), SubmittedAt = DateTimeOffset.UnixEpoch,
    };

    public static NodeView Node(string name, string state = "up") => new()
    {
        Name = name, State = state, Pid = 17, Url = "http://127.0.0.1:1", Dir = "/d", Cores = 2, Processes = 1, Shards = 3, StoredBytes = 5 << 20,
        FreeBytes = 1L << 30, CorruptionsFound = 0, Repaired = 0, NumericClass = Digest.Of("class").ToString(),
    };

    public IReadOnlyList<NodeView> Nodes { get; set; } = [Node("node-1"), Node("node-2"), Node("node-3")];

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
        _store.Dispose();
        Directory.Delete(_dir, recursive: true);
    }

    private static async Task AuthorizeAsync(HttpContext context, RequestDelegate next)
    {
        if (context.Request.Headers.Authorization != $"Bearer {Token}")
        {
            context.Response.StatusCode = 401;
            return;
        }
        try
        {
            await next(context);
        }
        catch (AisleException e) when (e is ArtifactMissingException)
        {
            await RefuseAsync(context, 404, e.Code, e.What, e.Next);
        }
    }

    private void MapContent()
    {
        _app.MapPost("/v1/store/missing", async context =>
        {
            var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            var presence = await _store.FindMissingAsync(DigestList.Decode(body.ToArray()));
            context.Response.Headers[RemoteStore.CopiesHeader] = $"{presence.Copies}";
            context.Response.Headers[RemoteStore.WantedHeader] = $"{presence.Wanted}";
            await context.Response.Body.WriteAsync(DigestList.Encode(presence.Missing));
        });
        _app.MapPut("/v1/store/shards/{id}", async context =>
        {
            var whole = new MemoryStream();
            await context.Request.Body.CopyToAsync(whole);
            whole.Position = 0;
            var receipt = await _store.PutShardAsync(Digest.Parse((string)context.Request.RouteValues["id"]!), whole, whole.Length);
            await SendAsync(context, new ReceiptView(receipt.Copies, receipt.Wanted), ApiJson.Default.ReceiptView);
        });
        _app.MapGet("/v1/store/chunks/{id}", async context =>
            await context.Response.Body.WriteAsync(await _store.ReadChunkAsync(Digest.Parse((string)context.Request.RouteValues["id"]!))));
    }

    private void MapNames()
    {
        _app.MapGet("/v1/status", context => SendAsync(context, new StatusView
        {
            Version = "0.1.0", Url = Url, LedgerRevision = 7, Nodes = Nodes, JobsRunning = 1, JobsWaiting = 0, Names = _names.Count, Endpoints = [],
        }, ApiJson.Default.StatusView));
        _app.MapGet("/v1/nodes", context => SendAsync(context, Nodes, ApiJson.Default.IReadOnlyListNodeView));
        _app.MapGet("/v1/names", context => SendAsync(context,
            [.. _names.Values.Select(history => history[^1]).Where(name => name.Name.StartsWith(context.Request.Query["prefix"].ToString(), StringComparison.Ordinal))],
            ApiJson.Default.IReadOnlyListNameView));
        _app.MapGet("/v1/resolve", async context =>
        {
            var target = context.Request.Query["target"].ToString();
            if (_names.TryGetValue(target.Split('@')[0], out var history)) await SendAsync(context, history[^1], ApiJson.Default.NameView);
            else await RefuseAsync(context, 404, "AISLE-2004", $"There is no name {target}.", "See `aisle ls`.");
        });
        _app.MapPut("/v1/names/{**name}", async context =>
        {
            var move = (await JsonSerializer.DeserializeAsync(context.Request.Body, ApiJson.Default.MoveNameRequest))!;
            var history = _names.GetOrAdd((string)context.Request.RouteValues["name"]!, _ => []);
            history.Add(new NameView { Name = (string)context.Request.RouteValues["name"]!, Digest = move.Digest, Version = history.Count + 1, At = DateTimeOffset.UnixEpoch });
            await SendAsync(context, history[^1], ApiJson.Default.NameView);
        });
    }

    private void MapJobs()
    {
        _app.MapPost("/v1/jobs", async context =>
        {
            Runs.Enqueue((await JsonSerializer.DeserializeAsync(context.Request.Body, ApiJson.Default.RunRequest))!);
            await SendAsync(context, new JobAcceptedView("job-1"), ApiJson.Default.JobAcceptedView);
        });
        _app.MapGet("/v1/jobs/{job}", async context =>
        {
            if (Jobs.TryGetValue((string)context.Request.RouteValues["job"]!, out var job)) await SendAsync(context, job, ApiJson.Default.JobView);
            else await RefuseAsync(context, 404, "AISLE-3004", "There is no such job.", "See `aisle jobs --all`.");
        });
        _app.MapGet("/v1/jobs/{job}/events", async context =>
        {
            var most = Cuts.TryDequeue(out var cut) ? cut : int.MaxValue;
            await context.Response.StartAsync();
            foreach (var e in Events[(string)context.Request.RouteValues["job"]!])
            {
                if (most-- == 0)
                {
                    context.Abort();
                    return;
                }
                await context.Response.WriteAsync(JsonSerializer.Serialize(e, ApiJson.Default.JobEvent) + "\n");
                await context.Response.Body.FlushAsync();
            }
            Followed?.Invoke();
        });
        _app.MapGet("/v1/jobs/{job}/steps", async context =>
        {
            var steps = Steps[(string)context.Request.RouteValues["job"]!];
            context.Response.ContentLength = steps.Length;
            await context.Response.Body.WriteAsync(steps);
        });
        _app.MapPost("/v1/jobs/{job}/replay", context => SendAsync(context, Replays[(string)context.Request.RouteValues["job"]!], ApiJson.Default.ReplayAcceptedView));
        _app.MapPost("/v1/verify", context => SendAsync(context, Verification!, ApiJson.Default.VerifyAcceptedView));
        _app.MapGet("/v1/lineage", context => SendAsync(context, Lineage!, ApiJson.Default.LineageView));
        _app.MapPost("/v1/completions", async context =>
        {
            var body = await new StreamReader(context.Request.Body).ReadToEndAsync();
            Questions.Enqueue(body);
            if (RawAnswer is { } raw) await context.Response.Body.WriteAsync(raw);
            else if (body.Contains("\"stream\":true", StringComparison.Ordinal))
            {
                foreach (var piece in Answer) await context.Response.WriteAsync($": still here\n\ndata: {{\"choices\":[{{\"text\":{JsonSerializer.Serialize(piece)}}}]}}\n\n");
                await context.Response.WriteAsync("data: [DONE]\n\n");
            }
            else
            {
                await context.Response.WriteAsync($"{{\"choices\":[{{\"text\":{JsonSerializer.Serialize(string.Concat(Answer))},\"finish_reason\":\"length\"}}]}}");
            }
        });
    }

    private static Task SendAsync<T>(HttpContext context, T value, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) =>
        context.Response.WriteAsync(JsonSerializer.Serialize(value, type), Encoding.UTF8);

    private static Task RefuseAsync(HttpContext context, int status, string code, string what, string next)
    {
        context.Response.StatusCode = status;
        return SendAsync(context, new ErrorEnvelope(new ErrorView(code, what, next)), ApiJson.Default.ErrorEnvelope);
    }
}
