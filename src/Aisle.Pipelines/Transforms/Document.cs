using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Aisle.Pipelines;

/// <summary>One piece of text and where it came from.</summary>
/// <param name="Source"><c>file#place</c>; null only before a reader has named it.</param>
internal readonly record struct Document(string Text, string? Source);

/// <summary>A document as a line of JSON: <c>{"text":…,"source":…}</c>. Other properties are passed over.</summary>
internal static class DocumentLine
{
    private static readonly JsonReaderOptions Options = new() { MaxDepth = 32 };

    public static bool TryParse(ReadOnlySpan<byte> line, out Document document, out string? fault)
    {
        (document, fault) = (default, null);
        try
        {
            document = Parse(line);
            return true;
        }
        // InvalidOperation: a string that is not text, such as half a surrogate pair.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            fault = e.Message;
            return false;
        }
    }

    public static string FaultOf(ReadOnlySpan<byte> line) => TryParse(line, out _, out var fault) ? "" : fault!;

    private static Document Parse(ReadOnlySpan<byte> line)
    {
        var json = new Utf8JsonReader(line, Options);
        string? text = null, source = null;
        if (!json.Read() || json.TokenType != JsonTokenType.StartObject) throw new JsonException("The line is not a JSON object.");
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var isText = json.ValueTextEquals("text"u8);
            var isSource = json.ValueTextEquals("source"u8);
            json.Read();
            if (isText && json.TokenType == JsonTokenType.String) text = json.GetString();
            else if (isSource && json.TokenType == JsonTokenType.String) source = json.GetString();
            else json.Skip();
        }
        if (json.Read()) throw new JsonException("Something follows the JSON object.");
        return new Document(text ?? throw new JsonException("The object has no string \"text\"."), source);
    }
}

/// <summary>Documents into <c>part-00000.jsonl</c>, <c>part-00001.jsonl</c>, …, a new one after about 32 MB: the same documents, the same bytes.</summary>
internal sealed class DocumentWriter : IDisposable
{
    private const long PartBytes = 32 << 20;
    internal static readonly JsonWriterOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };
    private readonly string _folder;
    private readonly ArrayBufferWriter<byte> _line = new();
    private readonly Utf8JsonWriter _json;
    private FileStream _part;
    private int _parts;

    public DocumentWriter(string folder)
    {
        _folder = folder;
        _json = new Utf8JsonWriter(_line, Plain);
        _part = Next();
    }

    private FileStream Next() => new(Path.Combine(_folder, $"part-{_parts++:D5}.jsonl"), FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 17);

    public void Write(in Document document)
    {
        if (_part.Position >= PartBytes)
        {
            _part.Dispose();
            _part = Next();
        }
        _line.ResetWrittenCount();
        _json.Reset();
        _json.WriteStartObject();
        _json.WriteString("text"u8, document.Text);
        _json.WriteString("source"u8, document.Source);
        _json.WriteEndObject();
        _json.Flush();
        _part.Write(_line.WrittenSpan);
        _part.WriteByte((byte)'\n');
    }

    public void Dispose()
    {
        _part.Dispose();
        _json.Dispose();
    }
}

/// <summary>Records set aside, each a line of JSON: where it was, which step, what was wrong, how it began, and its hash to find it again.</summary>
internal sealed class DeadLetters(string path, string step) : IDisposable
{
    private const int ExcerptBytes = 300;
    private readonly FileStream _file = File.Create(path);

    public void Write(string source, string error, ReadOnlySpan<byte> record)
    {
        var line = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(line, DocumentWriter.Plain))
        {
            json.WriteStartObject();
            json.WriteString("source", source);
            json.WriteString("step", step);
            json.WriteString("error", error);
            json.WriteString("excerpt", Encoding.UTF8.GetString(record[..Math.Min(record.Length, ExcerptBytes)]));
            json.WriteString("sha256", Convert.ToHexStringLower(SHA256.HashData(record)));
            json.WriteEndObject();
        }
        _file.Write(line.WrittenSpan);
        _file.WriteByte((byte)'\n');
    }

    public void Dispose() => _file.Dispose();
}
