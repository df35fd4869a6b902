using System.Globalization;
using System.Text;

namespace Aisle.Pipelines;

/// <summary>
/// Unicode normalisation form C: one way to write each character, <c>é</c> and never <c>e</c> with an accent after it.
/// Our own tables, because the runtime takes its from the machine's ICU, or does nothing where there is none: the result would be the machine's, not the text's.
/// </summary>
/// <remarks>Source: Unicode Standard Annex 15, with chapter 3.12 for Hangul.</remarks>
internal static partial class ComposedForm
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TailBase = 0x11A7, Leads = 19, Vowels = 21, Tails = 28;
    private static readonly Dictionary<int, int> ClassOf = [];
    private static readonly Dictionary<int, (int First, int Second)> PartsOf = [];           // Second is 0 where there is one part
    private static readonly Dictionary<(int First, int Second), int> WholeOf = [];

    static ComposedForm()
    {
        foreach (var entry in Entries(Classes))
        {
            var sides = entry.Split(':');
            var range = sides[0].Split('-');
            for (var code = Hex(range[0]); code <= Hex(range[^1]); code++) ClassOf.Add(code, int.Parse(sides[1], CultureInfo.InvariantCulture));
        }
        foreach (var entry in Entries(Decompositions))
        {
            var sides = entry.Split('=', '>');
            var parts = sides[1].Split('+');
            var pair = (Hex(parts[0]), parts.Length == 1 ? 0 : Hex(parts[1]));
            PartsOf.Add(Hex(sides[0]), pair);
            if (entry.Contains('=')) WholeOf.Add(pair, Hex(sides[0]));
        }
    }

    /// <summary>The text in form C. Halves of surrogate pairs become U+FFFD.</summary>
    public static string Of(string text)
    {
        // Below U+0300 nothing combines, so most text is in form C already.
        if (!text.AsSpan().ContainsAnyInRange('\u0300', '\uFFFF')) return text;
        var codes = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes()) Decompose(rune.Value, codes);
        Order(codes);
        Compose(codes);
        var composed = new StringBuilder(codes.Count);
        foreach (var code in codes) composed.Append(new Rune(code));
        return composed.ToString();
    }

    private static void Decompose(int code, List<int> codes)
    {
        if (code is >= HangulBase and < HangulBase + Leads * Vowels * Tails)
        {
            var (block, tail) = Math.DivRem(code - HangulBase, Tails);
            codes.Add(LeadBase + block / Vowels);
            codes.Add(VowelBase + block % Vowels);
            if (tail > 0) codes.Add(TailBase + tail);
        }
        else if (PartsOf.TryGetValue(code, out var parts))
        {
            Decompose(parts.First, codes);
            if (parts.Second != 0) Decompose(parts.Second, codes);
        }
        else codes.Add(code);
    }

    // Marks behind a letter stand in order of their class; those of one class keep theirs.
    private static void Order(List<int> codes)
    {
        for (var start = 0; start < codes.Count; start++)
        {
            var end = start;
            while (end < codes.Count && Class(codes[end]) > 0) end++;
            if (end - start < 2) continue;
            var marks = codes[start..end].OrderBy(Class).ToList();
            for (var i = 0; i < marks.Count; i++) codes[start + i] = marks[i];
            start = end;
        }
    }

    private static void Compose(List<int> codes)
    {
        if (codes.Count == 0) return;
        var (starter, kept) = (0, 1);
        var lastClass = Class(codes[0]) == 0 ? 0 : int.MaxValue;  // a text that begins with a mark has nothing to join it to
        for (var i = 1; i < codes.Count; i++)
        {
            var (code, ofCode) = (codes[i], Class(codes[i]));
            if ((lastClass < ofCode || lastClass == 0) && Whole(codes[starter], code) is { } whole)
            {
                codes[starter] = whole;
                continue;
            }
            if (ofCode == 0) starter = kept;
            lastClass = ofCode;
            codes[kept++] = code;
        }
        codes.RemoveRange(kept, codes.Count - kept);
    }

    private static int? Whole(int first, int second)
    {
        if (first is >= LeadBase and < LeadBase + Leads && second is >= VowelBase and < VowelBase + Vowels)
            return HangulBase + ((first - LeadBase) * Vowels + second - VowelBase) * Tails;
        if (first is >= HangulBase and < HangulBase + Leads * Vowels * Tails && (first - HangulBase) % Tails == 0 && second is > TailBase and < TailBase + Tails)
            return first + second - TailBase;
        return WholeOf.TryGetValue((first, second), out var whole) ? whole : null;
    }

    private static int Class(int code) => code < 0x300 ? 0 : ClassOf.GetValueOrDefault(code);

    private static int Hex(string digits) => int.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private static string[] Entries(string table) => table.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries);
}
