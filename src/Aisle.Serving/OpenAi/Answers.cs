using System.Text.Json.Serialization;

namespace Aisle.Serving;

// The shapes of OpenAI's API, as far as a replica fills them. Source: platform.openai.com/docs/api-reference.
internal sealed record Usage(int PromptTokens, int CompletionTokens)
{
    public int TotalTokens => PromptTokens + CompletionTokens;
}

internal sealed record CompletionAnswer(string Id, string Object, long Created, string Model, CompletionChoice[] Choices)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public Usage? Usage { get; init; }
}

/// <summary>One choice of any of the four answers: a text, a whole message, or a part of one.</summary>
internal sealed record CompletionChoice(string? FinishReason)
{
    public int Index { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Text { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ChatMessage? Message { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ChatMessage? Delta { get; init; }

    public string? Logprobs { get; init; }
}

internal sealed record ChatMessage
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Role { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Content { get; init; }
}

internal sealed record ErrorAnswer(ErrorBody Error);

internal sealed record ErrorBody(string Message, string Type, string? Param, string? Code);

internal sealed record ModelList(string Object, ModelCard[] Data);

internal sealed record ModelCard(string Id, string Object, long Created, string OwnedBy);

internal sealed record Health(string Status, string Model, int Active, long Requests, long PromptTokens, long CompletionTokens);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CompletionAnswer))]
[JsonSerializable(typeof(ErrorAnswer))]
[JsonSerializable(typeof(ModelList))]
[JsonSerializable(typeof(Health))]
internal sealed partial class AnswersJson : JsonSerializerContext;
