using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;
using Microsoft.AspNetCore.Http.Features;

namespace Aisle.Head;

/// <summary>Endpoints: wanting them, and passing requests to a replica that is ready. The replica speaks the OpenAI protocol; this side only routes.</summary>
internal sealed class ModelApi(ILedger ledger, Fleet fleet, ArtifactStore artifacts, string token, Func<Uri> url, TimeProvider time) : IDisposable
{
    /// <summary>Largest request body passed on, in bytes.</summary>
    private const int MaxBodyBytes = 1 << 20;

    private readonly HttpMessageInvoker _replicas = new(new SocketsHttpHandler { UseProxy = false, UseCookies = false, AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(2) });
    private int _turn;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/endpoints", () =>
        {
            var state = ledger.State;
            return TypedResults.Json([.. state.Endpoints.Values.Select(endpoint => Views.Endpoint(endpoint, state, fleet, url()))], ApiJson.Default.IReadOnlyListEndpointView);
        });

        routes.MapPost("/v1/endpoints", async (HttpContext context, CancellationToken cancellationToken) =>
        {
            var request = await context.ReadAsync(ApiJson.Default.DeployRequest, cancellationToken);
            var model = NameApi.Resolve(ledger.State, request.Model);
            await RequireModelAsync(request.Model, model.Digest, cancellationToken);
            var spec = new JobSpec
            {
                Kind = JobKind.Serve,
                Program = "serve-language-model@1",
                Inputs = ImmutableSortedDictionary.Create<string, Digest>(StringComparer.Ordinal).Add("model", model.Digest),
                Parameters = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal).Add("name", request.Endpoint),
            };
            var stored = await artifacts.PutBytesAsync(JobSpec.EntryName, spec.ToCanonicalJson(), cancellationToken: cancellationToken);
            await ledger.AgreeAsync(new DeployEndpoint(request.Endpoint, model.Digest, request.Model, request.Replicas, stored.Digest, spec.Identity) { At = time.GetUtcNow() }, cancellationToken);
            return TypedResults.Json(Views.Endpoint(ledger.State.Endpoints[request.Endpoint], ledger.State, fleet, url()), ApiJson.Default.EndpointView);
        });

        routes.MapDelete("/v1/endpoints/{name}", async (string name, CancellationToken cancellationToken) =>
        {
            await ledger.AgreeAsync(new RemoveEndpoint(name) { At = time.GetUtcNow() }, cancellationToken);
            return TypedResults.NoContent();
        });

        routes.MapPost("/v1/completions", PassOnAsync);
        routes.MapPost("/v1/chat/completions", PassOnAsync);
        routes.MapGet("/v1/models", () => Results.Json(new
        {
            @object = "list",
            data = ledger.State.Endpoints.Values.Select(endpoint => new { id = endpoint.Name, @object = "model", owned_by = "aisle", root = endpoint.Model.ToString() }),
        }));
    }

    public void Dispose() => _replicas.Dispose();

    private async Task PassOnAsync(HttpContext context)
    {
        var cancelled = context.RequestAborted;
        if (context.Request.ContentLength is null or > MaxBodyBytes)
            throw new AisleException("AISLE-7012", $"A completion request needs a Content-Length of at most {MaxBodyBytes} bytes.", "Shorten the prompt.");
        var body = new byte[context.Request.ContentLength.Value];
        await context.Request.Body.ReadExactlyAsync(body, cancelled);
        var endpoint = EndpointOf(body);

        // A replica that died a moment ago refuses the connection; the next one is asked. Once a byte has been answered there is no second try.
        var ready = ReadyReplicas(endpoint);
        var start = Interlocked.Increment(ref _turn) & int.MaxValue;
        for (var i = 0; i < ready.Count; i++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(ready[(start + i) % ready.Count], context.Request.Path.Value!.TrimStart('/')));
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            HttpResponseMessage response;
            try
            {
                response = await _replicas.SendAsync(request, cancelled);
            }
            catch (HttpRequestException)
            {
                continue;
            }
            using (response) await RelayAsync(response, context, cancelled);
            return;
        }
        context.Response.Headers.RetryAfter = "1";
        context.Response.StatusCode = (int)HttpStatusCode.ServiceUnavailable;
        await context.Response.WriteAsJsonAsync(new ErrorEnvelope(new ErrorView(
            "AISLE-6021", $"Endpoint '{endpoint.Name}' has no replica that is ready ({endpoint.Replicas} wanted).", $"Wait a moment, then look at `aisle show {endpoint.Job}`.")),
            ApiJson.Default.ErrorEnvelope, cancellationToken: cancelled);
    }

    private static async Task RelayAsync(HttpResponseMessage response, HttpContext context, CancellationToken cancelled)
    {
        context.Response.StatusCode = (int)response.StatusCode;
        context.Response.ContentType = response.Content.Headers.ContentType?.ToString();
        if (response.Headers.RetryAfter is { } retry) context.Response.Headers.RetryAfter = retry.ToString();
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        await using var answer = await response.Content.ReadAsStreamAsync(cancelled);
        var buffer = new byte[8192];
        int read;
        while ((read = await answer.ReadAsync(buffer, cancelled)) > 0)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read), cancelled);
            await context.Response.Body.FlushAsync(cancelled);
        }
    }

    private async Task RequireModelAsync(string name, Digest digest, CancellationToken cancellationToken)
    {
        var missing = new HashSet<string> { "config.json", "model.safetensors", "tokenizer.json" };
        var artifact = await artifacts.OpenAsync(digest, cancellationToken);
        await foreach (var entry in artifact.ListAsync(cancellationToken)) missing.Remove(entry.Path);
        if (missing.Count > 0)
            throw new AisleException("AISLE-6020", $"{name} ({digest.Short}) has no {string.Join(", no ", missing.Order())}, so it is not a model that can be served.",
                "Deploy the `model` output of a training run; `aisle show NAME` lists what is inside.");
    }

    private ModelEndpoint EndpointOf(ReadOnlyMemory<byte> body)
    {
        using var json = JsonDocument.Parse(body);
        var model = json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("model", out var given) && given.ValueKind == JsonValueKind.String ? given.GetString()! : null;
        if (model is null) throw new AisleException("AISLE-6022", "The request names no model.", "Set \"model\" to an endpoint's name; `aisle status` lists them.");
        return ledger.State.Endpoints.TryGetValue(model, out var endpoint)
            ? endpoint
            : throw new AisleException(LedgerCodes.EndpointNotFound, $"There is no endpoint '{model}'.", "`aisle deploy MODEL --as ENDPOINT` makes one; `aisle status` lists them.");
    }

    private List<Uri> ReadyReplicas(ModelEndpoint endpoint) =>
        ledger.State.Jobs.TryGetValue(endpoint.Job, out var job)
            ? [.. job.Placements.Select(placement => fleet.ReadyUrl(job.Id, placement)).OfType<Uri>()]
            : [];
}
