using System.Globalization;
using System.Text;

namespace Aisle.Tensors.Tokenizers;

/// <summary>
/// Cuts text into the words that tokens never cross: an English contraction, or letters, digits or other signs with at most one blank
/// before them, or white space. Every character belongs to exactly one word, so the words joined are the text.
/// </summary>
/// <remarks>
/// Equal to GPT-2's pattern <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>, written out because a .NET
/// pattern sees UTF-16 halves: it takes a letter beyond U+FFFF for a sign, and tokens would differ from other tools' there.
/// </remarks>
internal ref struct WordSplitter(ReadOnlySpan<char> text)
{
    private readonly ReadOnlySpan<char> _text = text;
    private int _at;

    public bool TryNext(out ReadOnlySpan<char> word)
    {
        if (_at >= _text.Length)
        {
            word = default;
            return false;
        }
        var length = WordLength(_text[_at..]);
        word = _text.Slice(_at, length);
        _at += length;
        return true;
    }

    private static int WordLength(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'' && ContractionLength(text) is var contraction and > 0) return contraction;
        var start = text[0] == ' ' && text.Length > 1 ? 1 : 0;
        var kind = KindAt(text[start..], out _);
        return kind == Kind.Space ? SpaceLength(text) : start + RunLength(text[start..], kind);
    }

    private static int ContractionLength(ReadOnlySpan<char> text)
    {
        if (text.Length > 1 && text[1] is 's' or 't' or 'm' or 'd') return 2;
        return text.StartsWith("'re") || text.StartsWith("'ve") || text.StartsWith("'ll") ? 3 : 0;
    }

    // The last white space before a word stays out of the run: when it is a blank, it belongs to that word.
    private static int SpaceLength(ReadOnlySpan<char> text)
    {
        var length = RunLength(text, Kind.Space);
        return length == text.Length || length == 1 ? length : length - 1;
    }

    private static int RunLength(ReadOnlySpan<char> text, Kind kind)
    {
        var length = 0;
        while (length < text.Length && KindAt(text[length..], out var width) == kind) length += width;
        return length;
    }

    private enum Kind : byte { Sign, Space, Letter, Digit }

    private static readonly Kind[] KindOfAscii = [.. Enumerable.Range(0, 128).Select(value => KindOf(new Rune(value)))];

    private static Kind KindAt(ReadOnlySpan<char> text, out int width)
    {
        width = 1;
        if (text[0] < 128) return KindOfAscii[text[0]];
        Rune.DecodeFromUtf16(text, out var rune, out width);  // half a surrogate pair reads as U+FFFD, a sign
        return KindOf(rune);
    }

    private static Kind KindOf(Rune rune) => Rune.IsWhiteSpace(rune) ? Kind.Space : Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter
            or UnicodeCategory.OtherLetter => Kind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Digit,
        _ => Kind.Sign,
    };
}
