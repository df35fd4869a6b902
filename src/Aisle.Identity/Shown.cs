namespace Aisle.Identity;

/// <summary>Text from outside as a message may show it: short, and without anything that a terminal would obey.</summary>
internal static class Shown
{
    private const int Most = 60;

    public static string Of(string? text)
    {
        if (text is null) return "";
        var start = text.Length <= Most ? text : text[..Most] + "…";
        return string.Create(start.Length, start, static (shown, source) =>
        {
            for (var i = 0; i < source.Length; i++) shown[i] = char.IsControl(source[i]) || char.IsSurrogate(source[i]) ? '?' : source[i];
        });
    }
}
