using Spectre.Console.Rendering;

namespace Aisle.Terminal;

/// <summary>Something shown some columns to the right; unlike a padder it leaves no spaces at the ends of lines.</summary>
public sealed class Indented(IRenderable part, int columns) : IRenderable
{
    public Measurement Measure(RenderOptions options, int maxWidth)
    {
        var inner = part.Measure(options, maxWidth - columns);
        return new Measurement(inner.Min + columns, inner.Max + columns);
    }

    public IEnumerable<Segment> Render(RenderOptions options, int maxWidth)
    {
        foreach (var line in Segment.SplitLines(part.Render(options, maxWidth - columns)))
        {
            if (columns > 0) yield return Segment.Padding(columns);
            foreach (var segment in line) yield return segment;
            yield return Segment.LineBreak;
        }
    }
}
