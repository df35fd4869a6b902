using System.Text;
using System.Xml;

namespace Aisle.Pipelines;

/// <summary>
/// One <c>member</c> of .NET XML documentation as English: its full name, then what it does, its parameters, what it returns.
/// References become the names a reader would say. Exceptions, examples and code are left out: they repeat, or are not sentences.
/// </summary>
internal sealed class MemberDocumentation(string id)
{
    private readonly List<string> _summary = [], _remarks = [], _parameters = [], _returns = [];
    private readonly StringBuilder _line = new();
    private List<string>? _section;

    /// <param name="xml">On the member's start; afterwards on its end.</param>
    /// <returns>Null when the member says nothing.</returns>
    public string? Read(XmlReader xml)
    {
        if (xml.IsEmptyElement) return null;
        var depth = xml.Depth;
        while (xml.Read() && xml.Depth > depth)
        {
            switch (xml.NodeType)
            {
                case XmlNodeType.Element when xml.Depth == depth + 1:
                    OpenSection(xml);
                    break;
                case XmlNodeType.EndElement when xml.Depth == depth + 1:
                    EndLine();
                    _section = null;
                    break;
                case XmlNodeType.Element when xml.LocalName is "code" or "example" or "script" && !xml.IsEmptyElement:
                    SkipContent(xml);
                    break;
                case XmlNodeType.Element:
                    OpenInline(xml);
                    break;
                case XmlNodeType.EndElement when IsBlock(xml.LocalName):
                    EndLine();
                    break;
                case XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace:
                    if (_section is not null) Append(xml.Value);
                    break;
            }
        }
        if (_summary.Count + _remarks.Count + _returns.Count == 0) return null;
        return string.Join('\n', [MemberName.Full(id), .. _summary, .. _remarks, .. _parameters, .. _returns]);
    }

    private void OpenSection(XmlReader xml)
    {
        _section = xml.IsEmptyElement ? null : xml.LocalName switch
        {
            "summary" => _summary,
            "remarks" or "remark" => _remarks,
            "param" or "typeparam" => _parameters,
            "returns" or "return" or "value" => _returns,
            _ => null,
        };
        if (_section == _parameters) _line.Append(xml.GetAttribute("name")).Append(": ");
        if (_section == _returns) _line.Append(xml.LocalName == "value" ? "Value: " : "Returns: ");
    }

    private void OpenInline(XmlReader xml)
    {
        if (_section is null) return;
        if (IsBlock(xml.LocalName)) EndLine();
        else if (xml.LocalName is "paramref" or "typeparamref") Append(xml.GetAttribute("name"));
        else if (xml.IsEmptyElement && xml.LocalName is "see" or "seealso" or "xref")
        {
            Append(xml.GetAttribute("langword") ?? (xml.GetAttribute("cref") is { } reference ? MemberName.Short(reference) : xml.GetAttribute("href") ?? xml.GetAttribute("uid")));
        }
    }

    private static bool IsBlock(string element) => element is "para" or "p" or "br" or "div" or "list" or "listheader" or "item" or "li" or "ul" or "ol" or "description" or "note" or "format";

    private static void SkipContent(XmlReader xml)
    {
        var depth = xml.Depth;
        while (xml.Read() && !(xml.NodeType == XmlNodeType.EndElement && xml.Depth == depth)) { }
    }

    // Line breaks in the file are only layout, so any white space is one blank.
    private void Append(string? text)
    {
        foreach (var letter in text ?? "")
        {
            if (!char.IsWhiteSpace(letter)) _line.Append(letter);
            else if (_line.Length > 0 && _line[^1] != ' ') _line.Append(' ');
        }
    }

    private void EndLine()
    {
        var line = _line.ToString().Trim();
        _line.Clear();
        // "name:" alone, or the rule "-or-" between cases, says nothing.
        if (line.Length > 0 && !line.EndsWith(':') && line != "-or-") _section?.Add(line);
        else if (line.EndsWith(':') && _section != _parameters && _section != _returns) _section?.Add(line);
    }
}

/// <summary>Documentation ids as a reader would say them: <c>M:System.Collections.Generic.List`1.Add(`0)</c> is <c>List&lt;T&gt;.Add</c>.</summary>
internal static class MemberName
{
    public static string Full(string id)
    {
        var parts = Parts(id);
        var constructor = parts[^1] is "#ctor" or "#cctor";
        return string.Join('.', constructor ? parts[..^1] : parts).Replace('#', '.') + (constructor ? " constructor" : "");
    }

    /// <summary>A type by its own name, a member with its type's.</summary>
    public static string Short(string id)
    {
        var parts = Parts(id);
        var isType = id.StartsWith("T:", StringComparison.Ordinal) || id.StartsWith("N:", StringComparison.Ordinal) || !id.Contains(':');
        if (id.StartsWith("N:", StringComparison.Ordinal)) return string.Join('.', parts);
        if (parts[^1] is "#ctor" or "#cctor") return (parts.Count > 1 ? parts[^2] : "") + " constructor";
        return isType || parts.Count < 2 ? parts[^1] : $"{parts[^2]}.{parts[^1].Split('#')[^1]}";
    }

    private static List<string> Parts(string id)
    {
        var name = id.Length > 1 && id[1] == ':' ? id.AsSpan(2) : id.AsSpan();
        if (name.IndexOf('(') is var parameters and >= 0) name = name[..parameters];
        List<string> parts = [];
        var part = new StringBuilder();
        var depth = 0;
        for (var i = 0; i < name.Length; i++)
        {
            if (name[i] == '{') { depth++; part.Append('<'); }
            else if (name[i] == '}') { depth--; part.Append('>'); }
            else if (name[i] == ',') part.Append(", ");
            else if (name[i] == '.' && depth == 0)
            {
                parts.Add(part.ToString());
                part.Clear();
            }
            else if (name[i] == '`') i += AppendTypeParameters(name[i..], part) - 1;
            else part.Append(name[i]);
        }
        parts.Add(part.ToString());
        return parts;
    }

    // `1 is the type parameter of a type, ``1 of a method, which is not said.
    private static int AppendTypeParameters(ReadOnlySpan<char> arity, StringBuilder part)
    {
        var length = arity.Length > 1 && arity[1] == '`' ? 2 : 1;
        var ofMethod = length == 2;
        var count = 0;
        while (length < arity.Length && char.IsAsciiDigit(arity[length]) && count < 100) count = count * 10 + (arity[length++] - '0');
        if (!ofMethod && count == 1) part.Append("<T>");
        else if (!ofMethod && count is > 1 and < 100) part.Append('<').AppendJoin(", ", Enumerable.Range(1, count).Select(number => $"T{number}")).Append('>');
        return length;
    }
}
