using Spectre.Console;

namespace Aisle.Terminal;

/// <summary>Rows under headings, aligned with spaces: reads well, and cuts well with awk.</summary>
public sealed class Listing(params string[] headings)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(cells.Length, headings.Length, nameof(cells));
        _rows.Add(cells);
    }

    /// <summary>Prints the headings and the rows; <paramref name="empty"/> goes to the talk when there are none.</summary>
    public void WriteTo(Screen screen, string empty)
    {
        if (_rows.Count == 0)
        {
            screen.Say(empty);
            return;
        }
        WriteTo(screen.Out);
    }

    public void WriteTo(IAnsiConsole console)
    {
        var widths = headings.Select((heading, column) => _rows.Select(row => row[column].Length).Append(heading.Length).Max()).ToArray();
        WriteRow(console, headings, widths, _ => Style.Parse("grey"));
        foreach (var row in _rows) WriteRow(console, row, widths, Look);
    }

    /// <summary>The colour a state has everywhere.</summary>
    public static Style Look(string cell) => cell switch
    {
        "up" or "running" or "succeeded" or "ok" => new Style(Color.Green),
        "down" or "failed" or "lost" or "wrong" => new Style(Color.Red),
        "waiting" or "starting" or "cancelled" or "warning" => new Style(Color.Yellow),
        _ => Style.Plain,
    };

    private static void WriteRow(IAnsiConsole console, string[] cells, int[] widths, Func<string, Style> look)
    {
        var line = new Paragraph { Overflow = Overflow.Ellipsis };
        for (var column = 0; column < cells.Length; column++)
        {
            line.Append(cells[column], look(cells[column]));
            if (column < cells.Length - 1) line.Append(new string(' ', widths[column] - cells[column].Length + 2));
        }
        console.Write(line);
        console.WriteLine();
    }
}
