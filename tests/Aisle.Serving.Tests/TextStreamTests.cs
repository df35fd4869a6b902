using System.Text;
using CsCheck;

namespace Aisle.Serving.Tests;

public sealed class TextStreamTests
{
    [Fact]
    public void However_the_bytes_are_cut_the_pieces_make_up_the_text_and_no_piece_breaks_a_character() =>
        Gen.Select(OneOf("ä", "x", "数据", "🙂", " ").Array[0, 20], Gen.Int[1, 5]).Sample((parts, size) =>
        {
            var text = string.Concat(parts);
            var stream = new TextStream([]);
            var pieces = Encoding.UTF8.GetBytes(text).Chunk(size).Select(bytes => stream.Add(bytes)).ToList();
            pieces.Add(stream.Finish());
            Assert.DoesNotContain(pieces, piece => piece.Contains('\uFFFD') || (piece.Length > 0 && (char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1]))));
            Assert.Equal(text, string.Concat(pieces));
        });

    [Fact]
    public void However_the_bytes_are_cut_the_text_ends_before_the_first_stop() =>
        Gen.Select(Gen.Char["ab\n"].Array[0, 30], Gen.Int[1, 4], OneOf("\n", "ab", "aab", "ba\nb").Array[0, 3]).Sample((characters, size, stops) =>
        {
            var text = new string(characters);
            var stream = new TextStream([.. stops]);
            var given = "";
            foreach (var bytes in Encoding.UTF8.GetBytes(text).Chunk(size))
            {
                given += stream.Add(bytes);
                if (stream.Stopped) break;
            }

            given += stream.Finish();
            var end = stops.Select(stop => text.IndexOf(stop, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(text.Length).Min();
            // A longer stop that began earlier may still be incomplete when a shorter one is seen: what was given must then only lack the rest.
            Assert.Equal(stops.Any(stop => text.Contains(stop, StringComparison.Ordinal)), stream.Stopped);
            Assert.DoesNotContain(stops, stop => given.Contains(stop, StringComparison.Ordinal));
            Assert.StartsWith(text[..end], given);
        });

    [Fact]
    public void Half_a_character_at_the_end_is_marked()
    {
        var stream = new TextStream([]);
        Assert.Equal("a", stream.Add([(byte)'a', 0xF0, 0x9F]));
        Assert.Equal("\uFFFD", stream.Finish());
    }

    private static Gen<string> OneOf(params string[] texts) => Gen.Int[0, texts.Length - 1].Select(i => texts[i]);
}
