using System.Globalization;

namespace Aisle.Pipelines;

/// <summary>The part of a training run's slices that a second worker computes too, as it is written: <c>off</c>, <c>1/64</c> or <c>0.25</c>. Changes no bit of the result.</summary>
/// <param name="Text">As written.</param>
/// <param name="Value">0 to 1.</param>
public sealed record AuditFraction(string Text, double Value)
{
    /// <summary>What can be written, for a message.</summary>
    public const string Expected = "off or a fraction from 0 to 1, such as 1/64 or 0.25";

    private const int LongestText = 32;

    public static bool TryParse(string text, out AuditFraction? fraction)
    {
        fraction = Read(text) is { } value and >= 0 and <= 1 ? new AuditFraction(text, value) : null;
        return fraction is not null;
    }

    public override string ToString() => Text;

    private static double? Read(string text)
    {
        if (text == "off") return 0;
        if (text.Length > LongestText) return null;
        if (text.Split('/') is [var part, var whole])
            return int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var parts) && int.TryParse(whole, NumberStyles.None, CultureInfo.InvariantCulture, out var of) && of > 0
                ? (double)parts / of
                : null;
        return double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) ? value : null;
    }
}
