using System.Runtime.CompilerServices;
using System.Text.Json;
using Aisle.Artifacts;

namespace Aisle.Api;

/// <summary>A data centre, typed. What the command line, the console and users' programs call. Safe to call from many threads.</summary>
public sealed class AisleClient : IDisposable
{
    private readonly HttpTransport _transport;

    public AisleClient(ServerLocation location) : this(location.Url, location.Token)
    {
    }

    public AisleClient(Uri server, string token)
    {
        _transport = new HttpTransport(server, token);
        Artifacts = new ArtifactStore(new RemoteStore(_transport, RemoteStore.DataCentre));
    }

    public Uri Server => _transport.Server;

    public HttpTransport Transport => _transport;

    /// <summary>Content: chunked and verified on this side.</summary>
    public ArtifactStore Artifacts { get; }

    public Task<StatusView> StatusAsync(CancellationToken cancellationToken = default) =>
        _transport.GetAsync("v1/status", ApiJson.Default.StatusView, cancellationToken);

    public Task<IReadOnlyList<NodeView>> NodesAsync(CancellationToken cancellationToken = default) =>
        _transport.GetAsync("v1/nodes", ApiJson.Default.IReadOnlyListNodeView, cancellationToken);

    /// <param name="all">Finished ones too, newest first.</param>
    public Task<IReadOnlyList<JobView>> JobsAsync(bool all = false, CancellationToken cancellationToken = default) =>
        _transport.GetAsync($"v1/jobs?all={(all ? "true" : "false")}", ApiJson.Default.IReadOnlyListJobView, cancellationToken);

    public Task<JobView> JobAsync(string job, CancellationToken cancellationToken = default) =>
        _transport.GetAsync($"v1/jobs/{Segment(job)}", ApiJson.Default.JobView, cancellationToken);

    public Task<JobAcceptedView> RunAsync(RunRequest request, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Post, "v1/jobs", request, ApiJson.Default.RunRequest, ApiJson.Default.JobAcceptedView, cancellationToken);

    public Task CancelAsync(string job, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Post, $"v1/jobs/{Segment(job)}/cancel", cancellationToken);

    /// <summary>Changes how many workers a training job wants; the result does not change.</summary>
    public Task<JobAcceptedView> ScaleAsync(string job, int workers, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Post, $"v1/jobs/{Segment(job)}/scale", new ScaleRequest(workers),
            ApiJson.Default.ScaleRequest, ApiJson.Default.JobAcceptedView, cancellationToken);

    /// <summary>A job's events from the first on, its children's included; ends with <c>finished</c> of the job asked for.</summary>
    /// <param name="follow">Wait for what is still to come.</param>
    public async IAsyncEnumerable<JobEvent> EventsAsync(string job, bool follow, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using var response = await _transport.SendAsync(
            new HttpRequestMessage(HttpMethod.Get, $"v1/jobs/{Segment(job)}/events?follow={(follow ? "true" : "false")}"), cancellationToken);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellationToken));
        while (await NextLineAsync(reader, cancellationToken) is { } line)
        {
            if (line.Length > 0 && JsonSerializer.Deserialize(line, ApiJson.Default.JobEvent) is { } e) yield return e;
        }
    }

    public Task<IReadOnlyList<NameView>> NamesAsync(string? prefix = null, CancellationToken cancellationToken = default) =>
        _transport.GetAsync($"v1/names?prefix={Uri.EscapeDataString(prefix ?? "")}", ApiJson.Default.IReadOnlyListNameView, cancellationToken);

    /// <param name="target">A name, <c>name@alias</c>, <c>name@version</c> or a digest.</param>
    public async Task<Digest> ResolveAsync(string target, CancellationToken cancellationToken = default) =>
        Digest.TryParse(target, out var digest)
            ? digest
            : (await _transport.GetAsync($"v1/resolve?target={Uri.EscapeDataString(target)}", ApiJson.Default.NameView, cancellationToken)).Digest;

    public Task<NameView> NameAsync(string name, CancellationToken cancellationToken = default) =>
        _transport.GetAsync($"v1/resolve?target={Uri.EscapeDataString(name)}", ApiJson.Default.NameView, cancellationToken);

    public Task<IReadOnlyList<NameVersionView>> HistoryAsync(string name, CancellationToken cancellationToken = default) =>
        _transport.GetAsync($"v1/history?name={Uri.EscapeDataString(name)}", ApiJson.Default.IReadOnlyListNameVersionView, cancellationToken);

    public Task<NameView> MoveNameAsync(string name, Digest digest, int? expected = null, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Put, $"v1/names/{Path(name)}", new MoveNameRequest(digest, expected),
            ApiJson.Default.MoveNameRequest, ApiJson.Default.NameView, cancellationToken);

    public Task RemoveNameAsync(string name, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Delete, $"v1/names/{Path(name)}", cancellationToken);

    /// <param name="version">A version number, an alias or a digest in the name's history; <c>latest</c> for the newest.</param>
    public Task<NameView> TagAsync(string name, string alias, string version = "latest", CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Post, $"v1/aliases/{Path(name)}", new SetAliasRequest(alias, version),
            ApiJson.Default.SetAliasRequest, ApiJson.Default.NameView, cancellationToken);

    /// <summary>Stores a file or folder and moves the name to it.</summary>
    public async Task<PutResult> PutAsync(string name, string path, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var put = await Artifacts.PutAsync(path, progress: progress, cancellationToken: cancellationToken);
        await MoveNameAsync(name, put.Digest, cancellationToken: cancellationToken);
        return put;
    }

    public Task<LineageView> LineageAsync(string target, CancellationToken cancellationToken = default) =>
        _transport.GetAsync($"v1/lineage?target={Uri.EscapeDataString(target)}", ApiJson.Default.LineageView, cancellationToken);

    public Task<VerifyAcceptedView> VerifyAsync(VerifyRequest request, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Post, "v1/verify", request, ApiJson.Default.VerifyRequest, ApiJson.Default.VerifyAcceptedView, cancellationToken);

    /// <summary>Makes the state of a training run at a step again; the job's output <c>state</c> is that checkpoint.</summary>
    public Task<ReplayAcceptedView> ReplayAsync(string job, long toStep, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Post, $"v1/jobs/{Segment(job)}/replay", new ReplayRequest(toStep), ApiJson.Default.ReplayRequest, ApiJson.Default.ReplayAcceptedView, cancellationToken);

    /// <summary>The step log of a training run, live or finished; a file's bytes as <c>Aisle.Monitoring.StepLogFile</c> reads them.</summary>
    public Task<byte[]> StepsAsync(string job, CancellationToken cancellationToken = default) => _transport.GetBytesAsync($"v1/jobs/{Segment(job)}/steps", cancellationToken);

    /// <summary>The time line of a training run, live or finished, as JSON.</summary>
    public Task<byte[]> TimeLineAsync(string job, CancellationToken cancellationToken = default) => _transport.GetBytesAsync($"v1/jobs/{Segment(job)}/timeline", cancellationToken);

    public Task<EndpointView> DeployAsync(DeployRequest request, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Post, "v1/endpoints", request, ApiJson.Default.DeployRequest, ApiJson.Default.EndpointView, cancellationToken);

    public Task<IReadOnlyList<EndpointView>> EndpointsAsync(CancellationToken cancellationToken = default) =>
        _transport.GetAsync("v1/endpoints", ApiJson.Default.IReadOnlyListEndpointView, cancellationToken);

    public Task RemoveEndpointAsync(string endpoint, CancellationToken cancellationToken = default) =>
        _transport.SendAsync(HttpMethod.Delete, $"v1/endpoints/{Segment(endpoint)}", cancellationToken);

    public void Dispose() => _transport.Dispose();

    private async Task<string?> NextLineAsync(StreamReader reader, CancellationToken cancellationToken)
    {
        try
        {
            return await reader.ReadLineAsync(cancellationToken);
        }
        catch (Exception e) when (e is HttpIOException or IOException)
        {
            throw new ServerUnreachableException(Server, e);
        }
    }

    private static string Segment(string value) => Uri.EscapeDataString(value);

    private static string Path(string name) => string.Join('/', name.Split('/').Select(Uri.EscapeDataString));
}
