using System.Text.RegularExpressions;
using Aisle.Tensors.Tokenizers;
using CsCheck;

namespace Aisle.Tensors.Tests.Tokenizers;

public sealed partial class WordSplitterTests
{
    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Gpt2Pattern { get; }

    internal static readonly Gen<string> Text = Gen.Frequency(
        (6, Gen.Char["abcXYZ'sdmtlrve  \n\t.,!?()[]<>{}0123"].Select(c => c.ToString())),
        (2, Gen.OneOf(((string[])["é", "ß", "Ж", "中", "½", "Ⅷ", "\u00A0", "\u2003", "\u0301", "—", "\u200D"]).Select(Gen.Const).ToArray())),
        (1, Gen.OneOf(((string[])["𝒜", "😀", "𐍈", "𠀀", "👩‍🚀"]).Select(Gen.Const).ToArray()))).Array[0, 60].Select(string.Concat);

    [Fact]
    public void Words_are_those_of_the_published_pattern()
    {
        // A .NET pattern sees two halves of a character beyond U+FFFF, so the pattern can only judge text without them.
        Text.Select(text => string.Concat(text.EnumerateRunes().Where(rune => rune.IsBmp))).Sample(text =>
            Assert.Equal(Gpt2Pattern.EnumerateMatches(text).Collect(text), Split(text)));
    }

    [Fact]
    public void Words_joined_are_the_text() => Text.Sample(text => Assert.Equal(text, string.Concat(Split(text))));

    [Theory]
    [InlineData("it's  a List`1.", "it|'s| | a| List|`|1|.")]
    [InlineData("x\n\n  y", "x|\n\n | y")]
    [InlineData("a 𝒜𝒷 b", "a| 𝒜𝒷| b")]
    [InlineData("end  ", "end|  ")]
    [InlineData("", "")]
    public void Words_look_like_this(string text, string words) => Assert.Equal(words, string.Join('|', Split(text)));

    private static List<string> Split(string text)
    {
        var words = new List<string>();
        var splitter = new WordSplitter(text);
        while (splitter.TryNext(out var word)) words.Add(word.ToString());
        return words;
    }
}

internal static class Matches
{
    public static List<string> Collect(this Regex.ValueMatchEnumerator matches, string text)
    {
        var words = new List<string>();
        foreach (var match in matches) words.Add(text.Substring(match.Index, match.Length));
        return words;
    }
}
