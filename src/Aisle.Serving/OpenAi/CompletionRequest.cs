using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;

namespace Aisle.Serving;

/// <summary>
/// A body of <c>/v1/completions</c> or <c>/v1/chat/completions</c>, checked. Fields that ask for what a replica cannot do are refused;
/// fields it does not know are passed over, because clients send many.
/// </summary>
/// <param name="Prompt">The text to continue.</param>
/// <param name="Stream">Answer in server-sent events.</param>
/// <param name="IncludeUsage">A stream's last event counts tokens.</param>
internal sealed record CompletionRequest(string Prompt, GenerationOptions Options, bool Stream, bool IncludeUsage)
{
    public const int MostBodyBytes = 1 << 20;
    private const int MostStops = 4;
    private const int MostStopCharacters = 256;
    private const int DefaultMaxTokens = 16;   // OpenAI's for completions; a chat may fill half the context

    /// <exception cref="RequestRefusedException">400 or 404: the body is malformed or asks for what is not there.</exception>
    public static CompletionRequest Parse(ReadOnlyMemory<byte> body, bool chat, string modelName, int contextTokens)
    {
        try
        {
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 16, AllowDuplicateProperties = false });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw Wrong(null, "The body is not a JSON object.");
            return Read(root, chat, modelName, contextTokens);
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)   // the second: text that is not Unicode
        {
            throw Wrong(null, $"The body is not JSON: {fault.Message}");
        }
    }

    private static CompletionRequest Read(JsonElement root, bool chat, string modelName, int contextTokens)
    {
        if (Find(root, "model") is { } model && Text(model, "model") is var name && name != modelName)
            throw new RequestRefusedException(404, $"The model '{name}' is not served here.", $"Ask for '{modelName}'.", "model", "model_not_found");
        RefuseWhatIsNotThere(root);
        var maxTokens = (int)Number(root, chat && Find(root, "max_tokens") is null ? "max_completion_tokens" : "max_tokens",
            chat ? Math.Max(1, contextTokens / 2) : Math.Min(DefaultMaxTokens, contextTokens), 1, contextTokens, whole: true);
        var options = new GenerationOptions
        {
            MaxTokens = maxTokens,
            Temperature = Number(root, "temperature", 1, 0, 2),
            TopP = Number(root, "top_p", 1, 1e-9, 1),
            TopK = (int)Number(root, "top_k", 0, 0, int.MaxValue, whole: true),
            Seed = Seed(root),
            Stop = Stops(root),
        };
        var usage = Find(root, "stream_options") is { ValueKind: JsonValueKind.Object } streaming && Truth(streaming, "include_usage");
        return new CompletionRequest(chat ? ChatPrompt(root) : Prompted(root), options, Truth(root, "stream"), usage);
    }

    private static void RefuseWhatIsNotThere(JsonElement root)
    {
        foreach (var name in (string[])["n", "best_of"])
        {
            if (Find(root, name) is not null && Number(root, name, 1, 1, 128, whole: true) > 1) throw Wrong(name, $"{name} is above 1, and one answer a request is all there is.");
        }

        foreach (var name in (string[])["echo", "logprobs", "suffix", "tools", "functions", "logit_bias", "audio"])
        {
            if (Find(root, name) is { } value && !IsNothing(value)) throw Wrong(name, $"{name} is not offered.");
        }
    }

    private static bool IsNothing(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.False => true,
        JsonValueKind.String => value.GetString() == "",
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => value.GetPropertyCount() == 0,
        _ => false,
    };

    private static string Prompted(JsonElement root) => Find(root, "prompt") switch
    {
        null => "",
        { ValueKind: JsonValueKind.Array } several when several.GetArrayLength() == 1 => Text(several[0], "prompt"),
        { ValueKind: JsonValueKind.Array } => throw Wrong("prompt", "prompt has several texts, and one a request is all there is."),
        { } one => Text(one, "prompt"),
    };

    // A base model continues text and knows no roles: the last thing the user wrote is what it continues.
    private static string ChatPrompt(JsonElement root)
    {
        if (Find(root, "messages") is not { ValueKind: JsonValueKind.Array } messages) throw Wrong("messages", "messages is not a list.");
        string? last = null;
        foreach (var message in messages.EnumerateArray())
        {
            if (message.ValueKind != JsonValueKind.Object || Find(message, "role") is not { } role) throw Wrong("messages", "A message has no role.");
            if (Text(role, "messages") is not ("system" or "developer" or "user" or "assistant" or "tool")) throw Wrong("messages", $"The role '{role}' is unknown.");
            if (Text(role, "messages") == "user") last = Content(message);
        }

        return last ?? throw Wrong("messages", "No message is the user's.");
    }

    private static string Content(JsonElement message)
    {
        if (Find(message, "content") is not { } content) throw Wrong("messages", "The user's message has no content.");
        if (content.ValueKind != JsonValueKind.Array) return Text(content, "messages");
        return string.Concat(content.EnumerateArray().Select(part =>
            part.ValueKind == JsonValueKind.Object && Find(part, "type") is { } type && Text(type, "messages") == "text" && Find(part, "text") is { } text
                ? Text(text, "messages")
                : throw Wrong("messages", "A part of the user's message is not text.")));
    }

    private static ImmutableArray<string> Stops(JsonElement root)
    {
        ImmutableArray<string> stops = Find(root, "stop") switch
        {
            null => [],
            { ValueKind: JsonValueKind.Array } several when several.GetArrayLength() > MostStops => throw Wrong("stop", $"stop has more than {MostStops} texts."),
            { ValueKind: JsonValueKind.Array } several => [.. several.EnumerateArray().Select(stop => Text(stop, "stop"))],
            { } one => [Text(one, "stop")],
        };
        return stops.Any(stop => stop.Length is 0 or > MostStopCharacters) ? throw Wrong("stop", $"A stop text has 1 to {MostStopCharacters} characters.") : stops;
    }

    // Whoever gives no seed wants another answer each time.
    private static ulong Seed(JsonElement root) => Find(root, "seed") switch
    {
        null => BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)),
        { ValueKind: JsonValueKind.Number } seed when seed.TryGetInt64(out var number) => (ulong)number,
        _ => throw Wrong("seed", "seed is not a whole number of 64 bits."),
    };

    private static JsonElement? Find(JsonElement from, string name) =>
        from.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private static string Text(JsonElement value, string name) => value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Wrong(name, $"{name} is not a text.");

    private static bool Truth(JsonElement from, string name) => Find(from, name) switch
    {
        null or { ValueKind: JsonValueKind.False } => false,
        { ValueKind: JsonValueKind.True } => true,
        _ => throw Wrong(name, $"{name} is neither true nor false."),
    };

    private static double Number(JsonElement from, string name, double otherwise, double least, double most, bool whole = false)
    {
        if (Find(from, name) is not { } value) return otherwise;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out var number)) throw Wrong(name, $"{name} is not a number.");
        if (!(number >= least && number <= most) || (whole && number != Math.Floor(number)))
            throw Wrong(name, $"{name} is {value.GetRawText()}, and must be {(whole ? "a whole number " : "")}from {least} to {most}.");
        return number;
    }

    private static RequestRefusedException Wrong(string? parameter, string what) => new(400, what, "Correct the request and send it again.", parameter);
}
