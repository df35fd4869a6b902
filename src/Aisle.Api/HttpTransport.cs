using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Aisle.Api;

/// <summary>One authenticated way to a server: turns its error bodies into <see cref="ApiException"/> and silence into
/// <see cref="ServerUnreachableException"/>. Safe to call from many threads; owns its connections.</summary>
public sealed class HttpTransport : IDisposable
{
    private readonly HttpClient _http;

    public HttpTransport(Uri server, string token)
    {
        Server = server;
        _http = new HttpClient(new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromSeconds(5),
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
        })
        {
            BaseAddress = server,
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    public Uri Server { get; }

    public async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(new HttpRequestMessage(HttpMethod.Get, path), cancellationToken);
        return await ReadAsync(response, type, cancellationToken);
    }

    /// <summary>An answer that is not JSON, or is read elsewhere.</summary>
    /// <exception cref="AisleException">AISLE-7004: it is larger than 64 MiB.</exception>
    public async Task<byte[]> GetBytesAsync(string path, CancellationToken cancellationToken)
    {
        const int most = 64 << 20;
        using var response = await SendAsync(new HttpRequestMessage(HttpMethod.Get, path), cancellationToken);
        if (response.Content.Headers.ContentLength is null or > most)
            throw new AisleException("AISLE-7004", $"{Server} answered {response.Content.Headers.ContentLength?.ToString() ?? "an unknown number of"} bytes where at most {most} are taken.", "Check --server: is it an Aisle data centre of this version?");
        try
        {
            return await response.Content.ReadAsByteArrayAsync(cancellationToken);
        }
        catch (Exception e) when (e is HttpRequestException or HttpIOException)
        {
            throw new ServerUnreachableException(Server, e);
        }
    }

    public async Task<TAnswer> SendAsync<TBody, TAnswer>(
        HttpMethod method, string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<TAnswer> answerType, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(new HttpRequestMessage(method, path) { Content = Json(body, bodyType) }, cancellationToken);
        return await ReadAsync(response, answerType, cancellationToken);
    }

    public async Task SendAsync(HttpMethod method, string path, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(new HttpRequestMessage(method, path), cancellationToken);
    }

    /// <summary>Sends and returns once headers are there and say success. The caller disposes the response, and with it the stream.</summary>
    public async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        HttpResponseMessage response;
        try
        {
            response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        }
        catch (HttpRequestException e)
        {
            throw new ServerUnreachableException(Server, e);
        }
        if (response.IsSuccessStatusCode) return response;
        using (response) throw await ErrorAsync(response, cancellationToken);
    }

    public static HttpContent Json<T>(T body, JsonTypeInfo<T> type)
    {
        var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(body, type));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }

    public void Dispose() => _http.Dispose();

    private async Task<T> ReadAsync<T>(HttpResponseMessage response, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
            return await JsonSerializer.DeserializeAsync(body, type, cancellationToken) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new AisleException("AISLE-7004", $"{Server} answered something that is not Aisle's ({e.Message})", "Check --server: is it an Aisle data centre of this version?", e);
        }
        catch (HttpIOException e)
        {
            throw new ServerUnreachableException(Server, e);
        }
    }

    private async Task<Exception> ErrorAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
            var envelope = await JsonSerializer.DeserializeAsync(body, ApiJson.Default.ErrorEnvelope, cancellationToken);
            if (envelope?.Error is { Code: not null } error) return new ApiException(response.StatusCode, error);
        }
        catch (JsonException)
        {
            // Not our error body: say what the status says.
        }
        return new ApiException(response.StatusCode, response.StatusCode == HttpStatusCode.Unauthorized
            ? new ErrorView("AISLE-7001", $"{Server} does not accept this token.", "Set AISLE_TOKEN or AISLE_TOKEN_FILE to the token that `aisle up` wrote.")
            : new ErrorView("AISLE-7005", $"{Server} answered {(int)response.StatusCode} {response.ReasonPhrase}.", "Look at the server's log."));
    }
}
