using System.Security.Cryptography;

namespace Aisle.Serving;

/// <summary>How one request's answers look: as a text completion or as a chat, whole or in pieces.</summary>
internal sealed class CompletionShape(bool chat, string modelName, long created)
{
    private readonly string _id = (chat ? "chatcmpl-" : "cmpl-") + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12));

    public CompletionAnswer Whole(string text, Generation generation) => Answer(
        chat ? "chat.completion" : "text_completion",
        chat
            ? new CompletionChoice(Reason(generation.Finish)) { Message = new ChatMessage { Role = "assistant", Content = text } }
            : new CompletionChoice(Reason(generation.Finish)) { Text = text })
        with { Usage = UsageOf(generation) };

    /// <summary>A stream's first event; a text completion has none.</summary>
    public CompletionAnswer? Opening() => chat ? Chunk(new CompletionChoice(FinishReason: null) { Delta = new ChatMessage { Role = "assistant", Content = "" } }) : null;

    public CompletionAnswer Piece(string text) => Chunk(chat
        ? new CompletionChoice(FinishReason: null) { Delta = new ChatMessage { Content = text } }
        : new CompletionChoice(FinishReason: null) { Text = text });

    public CompletionAnswer Closing(Generation generation) => Chunk(chat
        ? new CompletionChoice(Reason(generation.Finish)) { Delta = new ChatMessage() }
        : new CompletionChoice(Reason(generation.Finish)) { Text = "" });

    public CompletionAnswer Counted(Generation generation) => Answer(ChunkName) with { Usage = UsageOf(generation) };

    private string ChunkName => chat ? "chat.completion.chunk" : "text_completion";

    private CompletionAnswer Chunk(CompletionChoice choice) => Answer(ChunkName, choice);

    private CompletionAnswer Answer(string kind, params CompletionChoice[] choices) => new(_id, kind, created, modelName, choices);

    private static Usage UsageOf(Generation generation) => new(generation.PromptTokens, generation.CompletionTokens);

    private static string? Reason(FinishReason? reason) => reason switch
    {
        FinishReason.Stop => "stop",
        FinishReason.Length => "length",
        _ => null,
    };
}
