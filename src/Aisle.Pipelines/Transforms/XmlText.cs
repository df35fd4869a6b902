using System.Text;
using System.Xml;

namespace Aisle.Pipelines;

/// <summary>Reads XML without trusting it: no DTD, nothing fetched, a limit on size. What came before a fault is kept; the fault is a dead letter with its place.</summary>
internal static class XmlText
{
    private const long MaxFileBytes = 64 << 20;

    private static readonly XmlReaderSettings Settings = new()
    {
        DtdProcessing = DtdProcessing.Prohibit,
        XmlResolver = null,
        IgnoreComments = true,
        IgnoreProcessingInstructions = true,
        MaxCharactersInDocument = MaxFileBytes,
    };

    public static void Read(TransformRun run, string name, Stream stream)
    {
        if (stream.Length > MaxFileBytes)
        {
            run.Begin();
            run.Kill(name, $"the file has {stream.Length:N0} bytes; the limit for XML is {MaxFileBytes:N0}", []);
            return;
        }
        using var xml = XmlReader.Create(stream, Settings);
        var inMember = false;
        try
        {
            xml.MoveToContent();
            if (xml.LocalName == "doc") ReadDocumentation(run, name, xml, ref inMember);
            else ParagraphGroups.AddAll(run, name, TextOf(xml));
        }
        catch (XmlException e)
        {
            if (!inMember) run.Begin();
            run.Kill(e.LineNumber > 0 ? $"{name}#{e.LineNumber}:{e.LinePosition}" : name, e.Message, []);
        }
    }

    private static void ReadDocumentation(TransformRun run, string name, XmlReader xml, ref bool inMember)
    {
        while (xml.Read())
        {
            if (xml is not { NodeType: XmlNodeType.Element, LocalName: "member" } || xml.GetAttribute("name") is not { } id) continue;
            run.Begin();
            inMember = true;
            var text = new MemberDocumentation(id).Read(xml);
            inMember = false;
            if (text is null) run.Filter("member without text");
            else run.Keep(new Document(text, $"{name}#{id}"));
        }
    }

    private static string TextOf(XmlReader xml)
    {
        var text = new StringBuilder();
        do
        {
            if (xml.NodeType is XmlNodeType.Text or XmlNodeType.CDATA) text.Append(xml.Value);
            else if (xml.NodeType is XmlNodeType.EndElement) text.Append("\n\n");
        }
        while (xml.Read());
        return text.ToString();
    }
}
