namespace Aisle.Terminal;

/// <summary>A bar in Spectre's markup.</summary>
public static class Bar
{
    public static string Markup(double share, int width)
    {
        var full = (int)Math.Round(Math.Clamp(double.IsNaN(share) ? 0 : share, 0, 1) * width);
        return $"[green]{new string('━', full)}[/][grey]{new string('━', width - full)}[/]";
    }
}
