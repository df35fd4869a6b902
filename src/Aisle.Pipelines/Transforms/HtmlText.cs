using System.Net;
using System.Text;

namespace Aisle.Pipelines;

/// <summary>Text of an HTML page: tags gone, entities read, scripts and styles left out, a line break where a block begins or ends. Any input gives some text.</summary>
internal static class HtmlText
{
    private static readonly HashSet<string> Silent = new(StringComparer.OrdinalIgnoreCase) { "script", "style", "noscript", "template", "svg" };
    private static readonly HashSet<string> Inline = new(StringComparer.OrdinalIgnoreCase)
    {
        "a", "abbr", "b", "bdi", "bdo", "cite", "code", "em", "font", "i", "kbd", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
    };

    public static string Of(ReadOnlySpan<char> html)
    {
        var text = new StringBuilder();
        while (!html.IsEmpty)
        {
            var open = html.IndexOf('<');
            Append(text, open < 0 ? html : html[..open]);
            if (open < 0) break;
            html = html[open..];
            if (html.StartsWith("<!--")) html = After(html, "-->");
            else if (html.Length < 2 || !(char.IsAsciiLetter(html[1]) || html[1] is '/' or '!' or '?'))
            {
                text.Append('<');  // a sign, not a tag
                html = html[1..];
            }
            else
            {
                var tag = NameOf(html);
                html = Silent.Contains(tag) ? After(After(html, ">"), $"</{tag}") is var rest && rest.IsEmpty ? rest : After(rest, ">") : After(html, ">");
                // A paragraph ends at each block; a blank line says so to whoever groups paragraphs.
                if (!Inline.Contains(tag)) text.Append(tag.Equals("br", StringComparison.OrdinalIgnoreCase) ? "\n" : "\n\n");
            }
        }
        return text.ToString();
    }

    private static string NameOf(ReadOnlySpan<char> tag)
    {
        tag = tag[1..].TrimStart('/');
        var length = 0;
        while (length < tag.Length && length < 16 && char.IsAsciiLetterOrDigit(tag[length])) length++;
        return tag[..length].ToString();
    }

    private static ReadOnlySpan<char> After(ReadOnlySpan<char> html, string end) =>
        html.IndexOf(end, StringComparison.OrdinalIgnoreCase) is var at and >= 0 ? html[(at + end.Length)..] : [];

    private static void Append(StringBuilder text, ReadOnlySpan<char> raw)
    {
        var blank = false;
        foreach (var letter in WebUtility.HtmlDecode(raw.ToString()))
        {
            var white = char.IsWhiteSpace(letter);
            if (!white) text.Append(letter);
            else if (!blank) text.Append(' ');
            blank = white;
        }
    }
}
