using Aisle.Api;
using Aisle.Artifacts;
using Spectre.Console;

namespace Aisle.Terminal;

/// <summary>Where something came from, as a tree that grows back to the bytes that were put. A branch met twice is drawn once.</summary>
public static class LineageTree
{
    public static Tree Draw(LineageView lineage)
    {
        var drawn = new HashSet<Digest>();
        var tree = new Tree(Line(lineage, port: null, again: false)) { Guide = TreeGuide.Line };
        drawn.Add(lineage.Digest);
        foreach (var (port, input) in lineage.Inputs) Add(tree, port, input, drawn);
        return tree;
    }

    private static void Add(IHasTreeNodes parent, string port, LineageView lineage, HashSet<Digest> drawn)
    {
        var isNew = drawn.Add(lineage.Digest);
        var node = parent.AddNode(Line(lineage, port, again: !isNew && lineage.Inputs.Count > 0));
        if (!isNew) return;
        foreach (var (next, input) in lineage.Inputs) Add(node, next, input, drawn);
    }

    private static Markup Line(LineageView lineage, string? port, bool again)
    {
        var made = lineage.Job is null
            ? "[grey]put by a person[/]"
            : $"[grey]{Markup.Escape(lineage.Program ?? "?")} in {Markup.Escape(lineage.Job)}{(lineage.Title is null ? "" : Markup.Escape($" ({lineage.Title})"))}[/]";
        var names = lineage.Names.Count == 0 ? "" : $"  [green]{Markup.Escape(string.Join(' ', lineage.Names))}[/]";
        var counts = lineage.Counts is { } c ? $"  [grey]{c.Out} of {c.In} records{(c.Dead > 0 ? $", {c.Dead} dead" : "")}[/]" : "";
        return new Markup($"{(port is null ? "" : Markup.Escape(port) + "  ")}{lineage.Digest.Short}  {made}{names}{counts}{(again ? "  [grey](drawn above)[/]" : "")}");
    }
}
