using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Aisle.Serving;

/// <summary>A replica behind OpenAI's HTTP API.</summary>
public static class OpenAiEndpoints
{
    /// <summary>
    /// Adds <c>POST /v1/completions</c>, <c>POST /v1/chat/completions</c>, <c>GET /v1/models</c> (all with the replica's token) and <c>GET /healthz</c> (without).
    /// </summary>
    public static void MapOpenAi(this IEndpointRouteBuilder routes, Replica replica)
    {
        routes.MapPost("/v1/completions", context => GuardAsync(context, replica, () => CompleteAsync(context, replica, chat: false)));
        routes.MapPost("/v1/chat/completions", context => GuardAsync(context, replica, () => CompleteAsync(context, replica, chat: true)));
        routes.MapGet("/v1/models", context => GuardAsync(context, replica, () => SendAsync(context, 200,
            new ModelList("list", [new ModelCard(replica.ModelName, "model", replica.Started.ToUnixTimeSeconds(), "aisle")]), AnswersJson.Default.ModelList)));
        routes.MapGet("/healthz", context => SendAsync(context, 200,
            new Health("ok", replica.ModelName, replica.Active, replica.Requests, replica.PromptTokens, replica.CompletionTokens), AnswersJson.Default.Health));
    }

    private static async Task GuardAsync(HttpContext context, Replica replica, Func<Task> answer)
    {
        try
        {
            if (!replica.Allows(context.Request.Headers.Authorization))
            {
                context.Response.Headers.WWWAuthenticate = "Bearer";
                throw new RequestRefusedException(401, "The request carries no valid token.", "Send it as Authorization: Bearer TOKEN.", kind: "invalid_api_key");
            }

            await answer();
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client is gone: nobody is left to answer.
        }
        catch (AisleException fault)
        {
            await SendFaultAsync(context, fault);
        }
    }

    private static async Task CompleteAsync(HttpContext context, Replica replica, bool chat)
    {
        var gone = context.RequestAborted;
        var request = CompletionRequest.Parse(await ReadBodyAsync(context.Request, gone), chat, replica.ModelName, replica.Generator.ContextTokens);
        using var slot = await replica.Admission.EnterAsync(gone);
        if (slot is null)
        {
            context.Response.Headers.RetryAfter = "1";
            throw new RequestRefusedException(429, $"{replica.Active} requests run or wait already.", "Try again in a second, or add replicas.", kind: "rate_limit_exceeded");
        }

        var generation = replica.Generator.Start(request.Prompt, request.Options);
        var shape = new CompletionShape(chat, replica.ModelName, replica.Time.GetUtcNow().ToUnixTimeSeconds());
        if (request.Stream) await StreamAsync(context.Response, generation, shape, request.IncludeUsage, gone);
        else await SendAsync(context, 200, shape.Whole(await TextAsync(generation, gone), generation), AnswersJson.Default.CompletionAnswer);
        replica.Count(generation);
    }

    private static async Task<string> TextAsync(Generation generation, CancellationToken gone)
    {
        var text = new StringBuilder();
        foreach (var piece in generation.Run(gone))
        {
            text.Append(piece);
            await Task.Yield();   // between two tokens others have a turn on this thread: a health question must not wait for a whole answer
        }

        return text.ToString();
    }

    private static async Task StreamAsync(HttpResponse response, Generation generation, CompletionShape shape, bool includeUsage, CancellationToken gone)
    {
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache";
        if (shape.Opening() is { } opening) await EventAsync(opening);
        foreach (var piece in generation.Run(gone))
        {
            await EventAsync(shape.Piece(piece));
            await Task.Yield();   // as in TextAsync: a fast client's socket never makes this wait
        }

        await EventAsync(shape.Closing(generation));
        if (includeUsage) await EventAsync(shape.Counted(generation));
        await response.WriteAsync("data: [DONE]\n\n", gone);

        async Task EventAsync(CompletionAnswer answer)
        {
            await response.WriteAsync($"data: {JsonSerializer.Serialize(answer, AnswersJson.Default.CompletionAnswer)}\n\n", gone);
            await response.Body.FlushAsync(gone);
        }
    }

    private static async Task<ReadOnlyMemory<byte>> ReadBodyAsync(HttpRequest request, CancellationToken gone)
    {
        using var body = new MemoryStream();
        var buffer = new byte[16 * 1024];
        try
        {
            int read;
            while ((read = await request.Body.ReadAsync(buffer, gone)) > 0)
            {
                body.Write(buffer, 0, read);
                if (body.Length > CompletionRequest.MostBodyBytes)
                    throw new RequestRefusedException(413, $"The body is over {CompletionRequest.MostBodyBytes} bytes.", "Send less text; only the last of it fits the model's context.");
            }
        }
        catch (BadHttpRequestException fault)
        {
            throw new RequestRefusedException(fault.StatusCode, $"The body cannot be read: {fault.Message}", "Send it again.");
        }

        return body.GetBuffer().AsMemory(0, (int)body.Length);
    }

    private static async Task SendFaultAsync(HttpContext context, AisleException fault)
    {
        var refused = fault as RequestRefusedException;
        var body = new ErrorAnswer(new ErrorBody($"{fault.What} {fault.Next}", refused is null ? "server_error" : "invalid_request_error",
            refused?.Parameter, refused?.Kind ?? (refused is null ? fault.Code : null)));
        if (!context.Response.HasStarted)
        {
            await SendAsync(context, refused?.Status ?? 500, body, AnswersJson.Default.ErrorAnswer);
            return;
        }

        // In the middle of a stream the status is out already; the error is its last event.
        await context.Response.WriteAsync($"data: {JsonSerializer.Serialize(body, AnswersJson.Default.ErrorAnswer)}\n\n", context.RequestAborted);
    }

    private static async Task SendAsync<T>(HttpContext context, int status, T value, JsonTypeInfo<T> type)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(value, type);
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        await context.Response.Body.WriteAsync(json, context.RequestAborted);
    }
}
