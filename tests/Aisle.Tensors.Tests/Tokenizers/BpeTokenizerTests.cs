using System.Text;
using Aisle.Tensors.Tokenizers;
using CsCheck;

namespace Aisle.Tensors.Tests.Tokenizers;

public sealed class BpeTokenizerTests
{
    private static readonly string[] Documents =
    [
        "The quick brown fox jumps over the lazy dog. The dog isn't amused; the fox is.",
        "Gets the value of the element at the specified index. Returns the zero-based index of the element.",
        "Überall dasselbe: der schnelle braune Fuchs, 42 times, 中文 and 😀😀.",
    ];

    private static readonly BpeTokenizer Learnt = BpeTokenizer.Learn(Documents, 320);

    [Fact]
    public void Decoding_gives_back_any_text() =>
        WordSplitterTests.Text.Sample(text => Assert.Equal(text, Learnt.Decode(Learnt.Encode(text))));

    [Fact]
    public void Encoding_equals_merging_pair_by_pair_in_the_order_learnt() => WordSplitterTests.Text.Sample(text =>
        Assert.Equal(NaiveBpe.Encode(Learnt, text), Learnt.Encode(text)));

    [Fact]
    public void Learning_equals_counting_every_pair_anew_for_each_token() =>
        Gen.Select(Gen.Char["aab \n'"].Array[0, 40].Select(letters => new string(letters)).Array[1, 6], Gen.Int[257, 290]).Sample((documents, size) =>
            Assert.Equal(NaiveBpe.Learn(documents, size), TokensOf(BpeTokenizer.Learn(documents, size))));

    [Fact]
    public void What_is_learnt_does_not_depend_on_the_order_of_documents()
    {
        var words = Documents.SelectMany(document => document.Split(' ')).ToArray();
        var learnt = SavedBytes(BpeTokenizer.Learn(words, 330));
        Gen.Shuffle(words).Sample(shuffled => Assert.Equal(learnt, SavedBytes(BpeTokenizer.Learn(shuffled, 330))), iter: 20);
    }

    [Fact]
    public void Equally_frequent_pairs_are_learnt_in_order_of_their_tokens()
    {
        var tokenizer = BpeTokenizer.Learn(["zy zy ba ba"], 259);
        Assert.Equal([" b", "zy"], [Encoding.UTF8.GetString(tokenizer.BytesOf(257)), Encoding.UTF8.GetString(tokenizer.BytesOf(258))]);
    }

    [Fact]
    public void Learning_stops_when_no_pair_occurs_twice() => Assert.Equal(258, BpeTokenizer.Learn(["ab ab"], 1000).VocabularySize);

    [Fact]
    public void A_users_text_cannot_end_a_document()
    {
        var tokens = Learnt.Encode("a<|endoftext|>b");
        Assert.DoesNotContain(Learnt.EndOfText, tokens);
        Assert.Equal("a<|endoftext|>b", Learnt.Decode(tokens));
        Assert.Equal([.. Learnt.Encode("a"), Learnt.EndOfText, .. Learnt.Encode("b")], Learnt.EncodeWithSpecialTokens("a<|endoftext|>b"));
        Assert.Equal("ab", Learnt.Decode(Learnt.EncodeWithSpecialTokens("a<|endoftext|>b")));
    }

    [Fact]
    public void One_word_of_a_million_letters_is_no_trap()
    {
        var text = new string('a', 1_000_000);
        Assert.Equal(text, Learnt.Decode(Learnt.Encode(text)));
    }

    [Fact]
    public void A_token_outside_the_vocabulary_is_refused() =>
        Assert.Equal("AISLE-5030", Assert.Throws<AisleException>(() => Learnt.Decode([Learnt.VocabularySize])).Code);

    [Fact]
    public async Task Many_threads_may_encode_at_once()
    {
        var texts = Enumerable.Range(0, 2000).Select(i => $"word{i % 700} and w{i}").ToArray();
        var expected = texts.Select(text => string.Join(',', BpeTokenizer.Learn(Documents, 320).Encode(text))).Take(50).ToArray();
        var results = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => texts.Select(text => string.Join(',', Learnt.Encode(text))).ToArray())));
        foreach (var result in results)
        {
            Assert.Equal(expected, result[..50]);
            Assert.Equal(results[0], result);
        }
    }

    internal static byte[] SavedBytes(BpeTokenizer tokenizer)
    {
        var path = Path.GetTempFileName();
        try
        {
            tokenizer.Save(path);
            return File.ReadAllBytes(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    internal static List<string> TokensOf(BpeTokenizer tokenizer) =>
        [.. Enumerable.Range(257, tokenizer.VocabularySize - 257).Select(token => Convert.ToHexString(tokenizer.BytesOf(token)))];

    /// <summary>The textbook's way: slow, and short enough to believe.</summary>
    private static class NaiveBpe
    {
        public static List<string> Learn(string[] documents, int size)
        {
            var tokens = new List<byte[]>(Enumerable.Range(0, 256).Select(value => new[] { (byte)value })) { Array.Empty<byte>() };
            var words = documents.SelectMany(Words).Select(word => Encoding.UTF8.GetBytes(word).Select(value => (int)value).ToList()).ToList();
            while (tokens.Count < size)
            {
                var best = words.SelectMany(word => word.Zip(word.Skip(1))).GroupBy(pair => pair)
                    .Where(pair => pair.Count() >= 2 && !tokens.Any(token => token.SequenceEqual((byte[])[.. tokens[pair.Key.First], .. tokens[pair.Key.Second]])))
                    .OrderByDescending(pair => pair.Count()).ThenBy(pair => pair.Key.First).ThenBy(pair => pair.Key.Second).FirstOrDefault();
                if (best is null) break;
                foreach (var word in words) Merge(word, best.Key, tokens.Count);
                tokens.Add([.. tokens[best.Key.First], .. tokens[best.Key.Second]]);
            }
            return [.. tokens.Skip(257).Select(Convert.ToHexString)];
        }

        public static List<int> Encode(BpeTokenizer tokenizer, string text)
        {
            var tokens = new List<int>();
            foreach (var word in Words(text))
            {
                var symbols = Encoding.UTF8.GetBytes(word).Select(value => (int)value).ToList();
                foreach (var (rank, merge) in tokenizer.Merges.Index()) Merge(symbols, merge, 257 + rank);
                tokens.AddRange(symbols);
            }
            return tokens;
        }

        private static List<string> Words(string text)
        {
            var words = new List<string>();
            var splitter = new WordSplitter(text);
            while (splitter.TryNext(out var word)) words.Add(word.ToString());
            return words;
        }

        private static void Merge(List<int> symbols, (int Left, int Right) pair, int token)
        {
            for (var i = 0; i + 1 < symbols.Count; i++)
            {
                if (symbols[i] != pair.Left || symbols[i + 1] != pair.Right) continue;
                symbols[i] = token;
                symbols.RemoveAt(i + 1);
            }
        }
    }
}
