using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Aisle.Tensors.Tokenizers;

public sealed partial class BpeTokenizer
{
    /// <summary>Name of the file in a folder that holds a tokenizer.</summary>
    public const string FileName = "tokenizer.json";

    private const long MaxFileBytes = 64L << 20;
    private const int MaxTokenBytes = 1024;

    /// <summary>Writes the <c>tokenizer.json</c> that Hugging Face's tokenizers reads. Same tokenizer, same bytes.</summary>
    public void Save(string path)
    {
        using var file = File.Create(path);
        using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        WriteAddedToken(json);
        json.WriteNull("normalizer");
        WriteByteLevel(json, "pre_tokenizer");
        json.WriteNull("post_processor");
        WriteByteLevel(json, "decoder");
        WriteModel(json);
        json.WriteEndObject();
    }

    private void WriteAddedToken(Utf8JsonWriter json)
    {
        json.WriteStartArray("added_tokens");
        json.WriteStartObject();
        json.WriteNumber("id", EndOfText);
        json.WriteString("content", EndOfTextContent);
        foreach (var flag in (ReadOnlySpan<string>)["single_word", "lstrip", "rstrip", "normalized"]) json.WriteBoolean(flag, false);
        json.WriteBoolean("special", true);
        json.WriteEndObject();
        json.WriteEndArray();
    }

    private static void WriteByteLevel(Utf8JsonWriter json, string property)
    {
        json.WriteStartObject(property);
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteBoolean("trim_offsets", true);
        json.WriteBoolean("use_regex", true);
        json.WriteEndObject();
    }

    private void WriteModel(Utf8JsonWriter json)
    {
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        foreach (var option in (ReadOnlySpan<string>)["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"]) json.WriteNull(option);
        foreach (var flag in (ReadOnlySpan<string>)["fuse_unk", "byte_fallback", "ignore_merges"]) json.WriteBoolean(flag, false);
        json.WriteStartObject("vocab");
        for (var token = 0; token < _bytes.Length; token++) json.WriteNumber(Spell(token), token);
        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach (var (left, right) in _merges) json.WriteStringValue($"{Spell(left)} {Spell(right)}");
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private string Spell(int token) => token == EndOfText ? EndOfTextContent : ByteAlphabet.Spell(_bytes[token]);

    /// <summary>Reads what <see cref="Save"/> or another tool wrote, when it is byte-level BPE with GPT-2's words and one special token.</summary>
    /// <exception cref="AisleException">AISLE-5032: damaged, too large, or a kind of tokenizer that would give other tokens here.</exception>
    public static BpeTokenizer Load(string path)
    {
        byte[] json;
        try
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > MaxFileBytes) throw Unreadable($"it has {file.Length:N0} bytes; the limit is {MaxFileBytes:N0}");
            json = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(e.Message, e);
        }
        return Parse(json);
    }

    /// <summary>Reads the bytes of a <c>tokenizer.json</c>; see <see cref="Load"/>.</summary>
    /// <exception cref="AisleException">AISLE-5032.</exception>
    public static BpeTokenizer Parse(ReadOnlyMemory<byte> json)
    {
        if (json.Length > MaxFileBytes) throw Unreadable($"it has {json.Length:N0} bytes; the limit is {MaxFileBytes:N0}");
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 16, AllowDuplicateProperties = false });
            return Read(document.RootElement);
        }
        // InvalidOperation: a value of another kind, or a string that is not text. KeyNotFound: a property is absent.
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw Unreadable(e.Message, e);
        }
    }

    private static BpeTokenizer Read(JsonElement root)
    {
        Expect(!root.TryGetProperty("normalizer", out var normalizer) || normalizer.ValueKind == JsonValueKind.Null, "it normalises text");
        var preTokenizer = root.GetProperty("pre_tokenizer");
        Expect(preTokenizer.GetProperty("type").GetString() == "ByteLevel", "its pre-tokenizer is not ByteLevel");
        Expect(!preTokenizer.GetProperty("add_prefix_space").GetBoolean(), "it adds a blank before the text");
        Expect(!preTokenizer.TryGetProperty("use_regex", out var useRegex) || useRegex.GetBoolean(), "it does not cut text into GPT-2's words");
        var model = root.GetProperty("model");
        Expect(model.GetProperty("type").GetString() == "BPE", "its model is not BPE");
        foreach (var option in (ReadOnlySpan<string>)["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
        {
            Expect(!model.TryGetProperty(option, out var value) || value.ValueKind == JsonValueKind.Null || value.ValueKind == JsonValueKind.String && value.GetString() == "",
                $"its model sets {option}");
        }
        foreach (var flag in (ReadOnlySpan<string>)["byte_fallback", "ignore_merges"])
        {
            Expect(!model.TryGetProperty(flag, out var value) || !value.GetBoolean(), $"its model sets {flag}");
        }
        var endOfText = ReadEndOfText(root.GetProperty("added_tokens"));
        var (tokens, spellings) = ReadVocabulary(model.GetProperty("vocab"), endOfText);
        return new BpeTokenizer(tokens, endOfText, ReadMerges(model.GetProperty("merges"), spellings));
    }

    private static int ReadEndOfText(JsonElement added)
    {
        Expect(added.GetArrayLength() == 1 && added[0].GetProperty("content").GetString() == EndOfTextContent, $"its one special token is not {EndOfTextContent}");
        return added[0].GetProperty("id").GetInt32();
    }

    private static (byte[][] Tokens, Dictionary<string, int> Spellings) ReadVocabulary(JsonElement vocabulary, int endOfText)
    {
        var spellings = new Dictionary<string, int>();
        foreach (var entry in vocabulary.EnumerateObject())
        {
            if (entry.Name != EndOfTextContent) spellings.Add(entry.Name, entry.Value.GetInt32());
            else Expect(entry.Value.GetInt32() == endOfText, $"{EndOfTextContent} has two ids");
        }
        Expect(spellings.Count < MaxVocabularySize, $"it has more than {MaxVocabularySize:N0} tokens");
        var tokens = new byte[spellings.Count + 1][];
        Expect((uint)endOfText < (uint)tokens.Length, $"the id {endOfText} of {EndOfTextContent} leaves a gap");
        tokens[endOfText] = [];
        foreach (var (spelling, id) in spellings)
        {
            Expect((uint)id < (uint)tokens.Length && tokens[id] is null, $"the id {id} of '{spelling}' is taken or leaves a gap");
            Expect(spelling.Length is > 0 and <= MaxTokenBytes && ByteAlphabet.TryRead(spelling, out tokens[id]), $"'{spelling}' does not spell bytes");
        }
        for (var value = 0; value < 256; value++) Expect(spellings.ContainsKey(ByteAlphabet.Spell([(byte)value])), $"byte 0x{value:X2} has no token");
        return (tokens, spellings);
    }

    private static List<(int Left, int Right, int Token)> ReadMerges(JsonElement merges, Dictionary<string, int> spellings)
    {
        var read = new List<(int, int, int)>(merges.GetArrayLength());
        var seen = new HashSet<long>();
        foreach (var merge in merges.EnumerateArray())
        {
            // Files of before 2024 write "a b", later ones ["a","b"].
            var sides = merge.ValueKind == JsonValueKind.Array ? [.. merge.EnumerateArray().Select(side => side.GetString()!)] : merge.GetString()!.Split(' ');
            if (sides is not [{ } left, { } right] || !spellings.TryGetValue(left, out var leftId) || !spellings.TryGetValue(right, out var rightId)
                || !spellings.TryGetValue(left + right, out var token))
            {
                throw Unreadable($"merge {read.Count} does not join two tokens into one");
            }
            Expect(seen.Add(Pair(leftId, rightId)), $"merge {read.Count} is there twice");
            read.Add((leftId, rightId, token));
        }
        return read;
    }

    private static void Expect(bool holds, string otherwise)
    {
        if (!holds) throw Unreadable(otherwise);
    }

    private static AisleException Unreadable(string why, Exception? inner = null) => new(
        "AISLE-5032", $"This tokenizer file cannot be used: {why.TrimEnd('.')}.", "Give a byte-level BPE tokenizer.json, or learn one with the step `learn-vocabulary`.", inner);
}
