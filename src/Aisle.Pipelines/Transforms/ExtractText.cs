using System.Text;
using System.Text.Unicode;
using System.Xml;

namespace Aisle.Pipelines;

/// <summary>
/// Files to documents: .NET XML documentation by member, other XML by its text, HTML without its tags, plain text and Markdown by groups of
/// paragraphs, JSON lines by their <c>text</c>. Files that are not text are filtered. No file is fatal: what cannot be read is a dead letter.
/// </summary>
internal static class ExtractText
{
    private const int MaxHtmlBytes = 16 << 20;
    private const int MaxTextLineBytes = 1 << 20;
    private const int SniffedBytes = 4096;

    public static void Run(TransformRun run)
    {
        foreach (var (name, file) in run.Files("files"))
        {
            var before = run.Records;
            try
            {
                Read(run, name, file);
                if (run.Records == before)
                {
                    run.Begin();
                    run.Filter("file without text");
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                run.Begin();
                run.Kill(name, $"the file cannot be read: {e.Message}", []);
            }
            run.Note("files", 1);
            run.FileDone(file);
        }
    }

    private static void Read(TransformRun run, string name, FileInfo file)
    {
        using var stream = file.OpenRead();
        switch (Path.GetExtension(name).ToLowerInvariant())
        {
            case ".xml":
                XmlText.Read(run, name, stream);
                break;
            case ".html" or ".htm":
                ReadHtml(run, name, stream);
                break;
            case ".jsonl" or ".ndjson":
                ReadJsonLines(run, name, stream);
                break;
            case ".txt" or ".text" or ".md" or ".markdown":
                ReadPlain(run, name, stream);
                break;
            default:
                if (LooksLikeText(stream))
                {
                    ReadPlain(run, name, stream);
                    break;
                }
                run.Begin();
                run.Filter("not text");
                break;
        }
    }

    // A file without a known ending is text when its beginning is UTF-8 without a zero byte. Up to three bytes may be half a character.
    private static bool LooksLikeText(Stream stream)
    {
        var start = new byte[SniffedBytes];
        var length = stream.ReadAtLeast(start, SniffedBytes, throwOnEndOfStream: false);
        stream.Position = 0;
        var sniffed = start.AsSpan(0, length);
        return !sniffed.Contains((byte)0) && Enumerable.Range(0, Math.Min(4, length)).Any(cut => Utf8.IsValid(start.AsSpan(0, length - cut)));
    }

    private static void ReadPlain(TransformRun run, string name, Stream stream)
    {
        var groups = new ParagraphGroups(run, name);
        var lines = new LineReader(stream, MaxTextLineBytes);
        while (lines.TryRead()) groups.Add(lines.Line.Span, lines.Number, lines.Fault);
        groups.Finish();
    }

    private static void ReadJsonLines(TransformRun run, string name, Stream stream)
    {
        var lines = new LineReader(stream);
        while (lines.TryRead())
        {
            if (lines.Line.Span.Trim(" \t"u8).IsEmpty) continue;
            run.Begin();
            var source = $"{name}#{lines.Number}";
            string? fault = null;
            if (lines.Fault is null && DocumentLine.TryParse(lines.Line.Span, out var document, out fault)) run.Keep(document with { Source = source });
            else run.Kill(source, lines.Fault ?? fault!, lines.Line.Span);
        }
    }

    private static void ReadHtml(TransformRun run, string name, Stream stream)
    {
        if (stream.Length > MaxHtmlBytes)
        {
            run.Begin();
            run.Kill(name, $"the file has {stream.Length:N0} bytes; the limit for HTML is {MaxHtmlBytes:N0}", []);
            return;
        }
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        if (!Utf8.IsValid(bytes))
        {
            run.Begin();
            run.Kill(name, "the file is not UTF-8", bytes);
            return;
        }
        ParagraphGroups.AddAll(run, name, HtmlText.Of(Encoding.UTF8.GetString(bytes)));
    }
}

/// <summary>Joins paragraphs until a document is long enough to be worth reading. A bad line makes its group, and only that, a dead letter.</summary>
internal sealed class ParagraphGroups(TransformRun run, string name)
{
    private readonly long _enough = run.Integer("groupCharacters");
    private readonly StringBuilder _group = new();
    private long _firstLine;
    private string? _fault;
    private byte[] _bad = [];

    public static void AddAll(TransformRun run, string name, string text)
    {
        var groups = new ParagraphGroups(run, name);
        var number = 0;
        foreach (var line in text.AsSpan().EnumerateLines()) groups.Add(line, ++number);
        groups.Finish();
    }

    public void Add(ReadOnlySpan<byte> line, long number, string? fault)
    {
        if (fault is null)
        {
            Add(Encoding.UTF8.GetString(line), number);
            return;
        }
        Open(number);
        if (_fault is null) (_fault, _bad) = ($"line {number}: {fault}", line.ToArray());
    }

    private void Add(ReadOnlySpan<char> line, long number)
    {
        if (line.IsWhiteSpace())
        {
            if (_group.Length >= _enough) Finish();
            else if (_group.Length > 1 && _group[^2] != '\n') _group.Append('\n');
            return;
        }
        // A wall of text without paragraphs is cut between lines.
        if (_group.Length >= 4 * _enough) Finish();
        Open(number);
        _group.Append(line).Append('\n');
    }

    private void Open(long number)
    {
        if (_firstLine != 0) return;
        _firstLine = number;
        run.Begin();
    }

    public void Finish()
    {
        if (_firstLine == 0) return;
        var source = $"{name}#{_firstLine}";
        if (_fault is not null) run.Kill(source, _fault, _bad);
        else run.Keep(new Document(_group.ToString().TrimEnd(), source));
        _group.Clear();
        (_firstLine, _fault, _bad) = (0, null, []);
    }
}
