using System.Text.RegularExpressions;

namespace Aisle.Ledger;

/// <summary>How names, aliases and short texts are written. The API can ask before it proposes; <see cref="LedgerState.Apply"/> asks again.</summary>
public static partial class LedgerGrammar
{
    public const int MaxNameLength = 256;
    public const int MaxWordLength = 128;
    public const int MaxTextLength = 256;

    /// <summary>The alias that always means the newest version; nobody can set it.</summary>
    public const string Latest = "latest";

    /// <summary><c>models/docs</c>: segments of <c>a-z 0-9 . _ -</c> that begin with a letter or digit, joined by <c>/</c>; at most 256 characters.</summary>
    public static bool IsName(string? text) => text is { Length: > 0 and <= MaxNameLength } && NamePattern.IsMatch(text);

    /// <summary><c>production</c>: one segment that begins with a letter (a number is a version); at most 128 characters.</summary>
    public static bool IsAlias(string? text) => text is { Length: > 0 and <= MaxWordLength } && AliasPattern.IsMatch(text);

    /// <summary>One segment of a name, at most 128 characters: what an endpoint is called.</summary>
    public static bool IsSegment(string? text) => text is { Length: > 0 and <= MaxWordLength } && SegmentPattern.IsMatch(text);

    /// <summary>Text for people: 1 to 256 characters, none a control character, no half of a surrogate pair (it could not be written and read back).</summary>
    public static bool IsText(string? text)
    {
        if (text is not { Length: > 0 and <= MaxTextLength }) return false;
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsControl(text[i])) return false;
            if (!char.IsSurrogate(text[i])) continue;
            if (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[i + 1])) return false;
            i++;
        }
        return true;
    }

    /// <summary>The number of a process: 3 of <c>w3</c>. Null when the text is not letters and a number of 1 to 999,999,999.</summary>
    public static int? ProcessNumber(string? text)
    {
        if (text is not { Length: > 0 and <= MaxWordLength } || ProcessPattern.Match(text) is not { Success: true } match) return null;
        return int.Parse(match.Groups[1].ValueSpan);
    }

    [GeneratedRegex(@"^[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*\z")]
    private static partial Regex NamePattern { get; }

    [GeneratedRegex(@"^[a-z][a-z0-9._-]*\z")]
    private static partial Regex AliasPattern { get; }

    [GeneratedRegex(@"^[a-z0-9][a-z0-9._-]*\z")]
    private static partial Regex SegmentPattern { get; }

    [GeneratedRegex(@"^[a-z]+([1-9][0-9]{0,8})\z")]
    private static partial Regex ProcessPattern { get; }
}
