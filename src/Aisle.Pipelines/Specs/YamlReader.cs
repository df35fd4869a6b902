using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Aisle.Pipelines;

/// <summary>
/// YAML text to nodes with places, from the parser's events: no type is resolved, nothing is expanded, and size and depth are limited
/// before anything is built. Anchors, aliases and tags are refused, so a short file cannot mean a huge one.
/// </summary>
internal static class YamlReader
{
    private const int MaxCharacters = 1 << 20;
    private const int MaxDepth = 16;
    private const int MaxNodes = 50_000;

    /// <summary>Null after a fault that leaves nothing to read on from.</summary>
    public static SpecNode? Read(string yaml, SpecFaults faults)
    {
        if (yaml.Length > MaxCharacters)
        {
            faults.Add(new Place(1, 1), $"the spec has {yaml.Length:N0} characters; the limit is {MaxCharacters:N0}");
            return null;
        }
        var parser = new Parser(new StringReader(yaml));
        try
        {
            var root = ReadDocument(parser, faults);
            if (root is null) faults.Add(new Place(1, 1), "the spec is empty");
            return root;
        }
        catch (Unreadable e)
        {
            faults.Add(e.Place, e.Message);
        }
        catch (YamlException e)
        {
            faults.Add(new Place(e.Start.Line, e.Start.Column), $"this is not YAML: {e.Message}");
        }
        // The parser answers some malformed text with these instead of its own exception; the last thing it understood is then the best place there is.
        catch (Exception e) when (e is ArgumentException or FormatException or OverflowException or InvalidOperationException or IndexOutOfRangeException)
        {
            faults.Add(parser.Current is { } last ? PlaceOf(last) : new Place(1, 1), "this is not YAML from here on: is a bracket, a quote or an indent wrong?");
        }
        return null;
    }

    private sealed class Unreadable(Place place, string message) : Exception(message)
    {
        public Place Place { get; } = place;
    }

    private static SpecNode? ReadDocument(Parser parser, SpecFaults faults)
    {
        var open = new Stack<(SpecNode Node, string? Key, Place KeyPlace)>();
        SpecNode? root = null;
        var nodes = 0;
        while (parser.MoveNext())
        {
            var place = PlaceOf(parser.Current!);
            if (++nodes > MaxNodes) throw new Unreadable(place, $"the spec has more than {MaxNodes:N0} values");
            if (parser.Current is NodeEvent { Anchor.IsEmpty: false } or AnchorAlias) throw new Unreadable(place, "anchors and aliases are not used in specs; write the value out");
            if (parser.Current is NodeEvent { Tag.IsEmpty: false }) throw new Unreadable(place, "tags are not used in specs; write the plain value");
            switch (parser.Current)
            {
                case DocumentStart when root is not null:
                    throw new Unreadable(place, "a spec is one document; put the second one into its own file");
                case MappingStart:
                    Open(new SpecMap(place));
                    break;
                case SequenceStart:
                    Open(new SpecList(place));
                    break;
                case MappingEnd or SequenceEnd:
                    open.Pop();
                    break;
                case Scalar scalar when open.TryPeek(out var map) && map is { Node: SpecMap, Key: null }:
                    open.Pop();
                    open.Push((map.Node, scalar.Value, place));
                    break;
                case Scalar scalar:
                    Add(new SpecText(scalar.Value, place));
                    break;
            }
        }
        return root;

        void Open(SpecNode node)
        {
            if (open.Count == MaxDepth) throw new Unreadable(node.Place, $"the spec is nested more than {MaxDepth} deep");
            if (open.TryPeek(out var map) && map is { Node: SpecMap, Key: null }) throw new Unreadable(node.Place, "a key is a single value");
            Add(node);
            open.Push((node, null, default));
        }

        void Add(SpecNode node)
        {
            if (!open.TryPop(out var parent))
            {
                root = node;
                return;
            }
            if (parent.Node is SpecList list) list.Items.Add(node);
            else if (parent.Node is SpecMap map)
            {
                if (map.Find(parent.Key!) is not null) faults.Add(parent.KeyPlace, $"`{parent.Key}` is there twice");
                else map.Entries.Add((parent.Key!, parent.KeyPlace, node));
            }
            open.Push((parent.Node, null, default));
        }
    }

    private static Place PlaceOf(ParsingEvent parsed) => new(parsed.Start.Line, parsed.Start.Column);
}
