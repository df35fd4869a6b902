using Spectre.Console;

namespace Aisle.Terminal;

/// <summary>Lines that stay, on a console where others may be moving below them.</summary>
public static class Lines
{
    /// <summary>One line, indented. On a terminal it covers what a live part drew there before, to the right edge.</summary>
    public static void WriteStaying(this IAnsiConsole console, string text, int indent = 0, Style? style = null)
    {
        var line = new string(' ', indent) + text;
        if (console.Profile.Capabilities.Interactive) line = line.PadRight(console.Profile.Width - 1);
        console.Write(new Text(line + "\n", style));
    }
}
