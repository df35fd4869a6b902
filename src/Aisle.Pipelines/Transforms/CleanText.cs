using System.Globalization;
using System.Text;

namespace Aisle.Pipelines;

/// <summary>
/// One way to write each character (Unicode NFC) and each gap (a blank, a line break, a blank line), then leaves out what is not language:
/// too short, too long, too few words, too few letters. The thresholds are the program's parameters.
/// </summary>
internal static class CleanText
{
    public static void Run(TransformRun run)
    {
        var (minCharacters, maxCharacters) = (run.Integer("minCharacters"), run.Integer("maxCharacters"));
        var (minWords, minLetterRatio) = (run.Integer("minWords"), run.Number("minLetterRatio"));
        foreach (var document in run.Read("documents"))
        {
            var text = Normalize(document.Text);
            var reason = text.Length < minCharacters ? "too short"
                : text.Length > maxCharacters ? "too long"
                : Words(text) < minWords ? "too few words"
                : LetterRatio(text) < minLetterRatio ? "too few letters"
                : null;
            if (reason is null) run.Keep(document with { Text = text });
            else run.Filter(reason);
        }
    }

    /// <summary>Applying it twice changes nothing more.</summary>
    internal static string Normalize(string raw)
    {
        var text = new StringBuilder(raw.Length);
        var (blank, breaks) = (false, 0);
        foreach (var letter in raw)
        {
            if (letter is '\n' or '\u0085' or '\u2028' or '\u2029' or '\v' or '\f') breaks++;
            else if (letter is '\t' or '\r' || char.GetUnicodeCategory(letter) == UnicodeCategory.SpaceSeparator) blank = true;
            else if (!IsInvisible(letter))
            {
                if (text.Length > 0)
                {
                    if (breaks > 0) text.Append('\n', Math.Min(breaks, 2));
                    else if (blank) text.Append(' ');
                }
                (blank, breaks) = (false, 0);
                text.Append(letter);
            }
        }
        return ComposedForm.Of(text.ToString());  // last, because letter and accent may only meet now
    }

    // Controls, byte order marks, soft hyphens, direction marks. The two joiners stay: scripts and emoji are spelt with them.
    private static bool IsInvisible(char letter) =>
        letter is not ('\u200C' or '\u200D') && char.GetUnicodeCategory(letter) is UnicodeCategory.Control or UnicodeCategory.Format;

    private static int Words(string text)
    {
        var (words, inWord) = (0, false);
        foreach (var letter in text)
        {
            var white = letter is ' ' or '\n';
            if (!white && !inWord) words++;
            inWord = !white;
        }
        return words;
    }

    private static double LetterRatio(string text)
    {
        var (letters, all) = (0, 0);
        foreach (var letter in text)
        {
            if (letter is ' ' or '\n') continue;
            all++;
            if (char.IsLetter(letter) || char.IsSurrogate(letter)) letters++;
        }
        return all == 0 ? 0 : (double)letters / all;
    }
}
