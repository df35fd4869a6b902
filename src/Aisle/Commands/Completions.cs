using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Aisle.Api;

namespace Aisle.Commands;

/// <summary>Questions to an endpoint, over the OpenAI-style API that any other client uses too.</summary>
public static class Completions
{
    private const int LongestLine = 1 << 20;

    /// <summary>The text that follows a prompt, piece by piece as the model makes it.</summary>
    /// <param name="temperature">0 takes the likeliest token each time; null leaves it to the server.</param>
    /// <exception cref="AisleException">AISLE-7054: the endpoint answered something else.</exception>
    public static IAsyncEnumerable<string> StreamAsync(
        AisleClient client, string endpoint, string prompt, int? maxTokens, double? temperature, CancellationToken cancellationToken = default) =>
        StreamAsync(client, "v1/completions", Body(endpoint, maxTokens, temperature, ("prompt", prompt)), choice => (string?)choice["text"], cancellationToken);

    /// <summary>The text that follows a prompt, in one piece.</summary>
    public static async Task<(string Text, string? FinishReason)> CompleteAsync(
        AisleClient client, string endpoint, string prompt, int? maxTokens, double? temperature, CancellationToken cancellationToken = default)
    {
        var choice = await AskAsync(client, "v1/completions", Body(endpoint, maxTokens, temperature, ("prompt", prompt)), cancellationToken);
        return ((string?)choice["text"] ?? throw Odd(endpoint), (string?)choice["finish_reason"]);
    }

    /// <summary>One question and its answer, as a chat.</summary>
    public static async Task<(string Text, string? FinishReason)> ChatAsync(
        AisleClient client, string endpoint, string question, int? maxTokens, double? temperature, CancellationToken cancellationToken = default)
    {
        var messages = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = question });
        var choice = await AskAsync(client, "v1/chat/completions", Body(endpoint, maxTokens, temperature, ("messages", messages)), cancellationToken);
        return ((string?)choice["message"]?["content"] ?? throw Odd(endpoint), (string?)choice["finish_reason"]);
    }

    private static JsonObject Body(string endpoint, int? maxTokens, double? temperature, (string Name, JsonNode Value) question)
    {
        var body = new JsonObject { ["model"] = endpoint, [question.Name] = question.Value };
        if (maxTokens is not null) body["max_tokens"] = maxTokens;
        if (temperature is not null) body["temperature"] = temperature;
        return body;
    }

    private static async Task<JsonNode> AskAsync(AisleClient client, string path, JsonObject body, CancellationToken cancellationToken)
    {
        using var response = await client.Transport.SendAsync(Request(path, body), cancellationToken);
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        return Choice(text) ?? throw Odd((string)body["model"]!);
    }

    private static async IAsyncEnumerable<string> StreamAsync(
        AisleClient client, string path, JsonObject body, Func<JsonNode, string?> piece, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        body["stream"] = true;
        using var response = await client.Transport.SendAsync(Request(path, body), cancellationToken);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellationToken));
        while (await NextLineAsync(client, reader, cancellationToken) is { } line)
        {
            // Server-sent events: fields other than data, and comments that keep the line open, say nothing here.
            if (!line.StartsWith("data:", StringComparison.Ordinal)) continue;
            var data = line[5..].Trim();
            if (data == "[DONE]") yield break;
            var choice = data.Length <= LongestLine ? Choice(data) : null;
            if (piece(choice ?? throw Odd((string)body["model"]!)) is { Length: > 0 } text) yield return text;
        }
        throw new AisleException("AISLE-7054", $"The answer of '{(string)body["model"]!}' broke off.", "Ask again; `aisle status` says whether its replica is still there.");
    }

    private static HttpRequestMessage Request(string path, JsonObject body) => new(HttpMethod.Post, path)
    {
        Content = new StringContent(body.ToJsonString(), System.Text.Encoding.UTF8, "application/json"),
    };

    private static async Task<string?> NextLineAsync(AisleClient client, StreamReader reader, CancellationToken cancellationToken)
    {
        try
        {
            return await reader.ReadLineAsync(cancellationToken);
        }
        catch (IOException e)
        {
            throw new ServerUnreachableException(client.Server, e);
        }
    }

    private static JsonNode? Choice(string json)
    {
        try
        {
            return JsonNode.Parse(json)?["choices"]?[0];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentOutOfRangeException)
        {
            return null;
        }
    }

    private static AisleException Odd(string endpoint) =>
        new("AISLE-7054", $"'{endpoint}' answered something that is not a completion.", "Check with `aisle status` that it is an endpoint of this data centre.");
}
