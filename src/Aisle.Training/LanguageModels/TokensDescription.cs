using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Training.LanguageModels;

/// <summary>What <c>tokens.json</c> says of a folder of tokens.</summary>
/// <param name="ValidationBytes">UTF-8 bytes of the text behind the validation tokens.</param>
public sealed record TokensDescription(int VocabularySize, int EndOfText, long TrainTokens, long ValidationTokens, long ValidationBytes)
{
    public const string FileName = "tokens.json";

    /// <exception cref="AisleException">AISLE-5141: not such a description.</exception>
    public static TokensDescription Parse(ReadOnlyMemory<byte> json)
    {
        try
        {
            var read = JsonSerializer.Deserialize(json.Span, TokensJson.Default.TokensDescription) ?? throw new JsonException("null");
            if (read is { VocabularySize: >= 2 and <= 65536, TrainTokens: >= 0, ValidationTokens: >= 0, ValidationBytes: >= 0 }) return read;
            throw new JsonException("a figure is out of range");
        }
        catch (JsonException e)
        {
            throw new AisleException("AISLE-5141", $"{FileName} does not describe tokens: {e.Message}", "Make the tokens again with the `tokenize` step.", e);
        }
    }

    public static TokensDescription Read(string folder)
    {
        try
        {
            return Parse(File.ReadAllBytes(Path.Combine(folder, FileName)));
        }
        catch (IOException e)
        {
            throw new AisleException("AISLE-5141", $"{folder} has no readable {FileName}: {e.Message}", "Give the `tokens` output of a `tokenize` step.", e);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(TokensDescription))]
internal sealed partial class TokensJson : JsonSerializerContext;
