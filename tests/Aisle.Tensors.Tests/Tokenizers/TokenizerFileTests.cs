using System.Text;
using System.Text.Json.Nodes;
using Aisle.Tensors.Tokenizers;
using CsCheck;

namespace Aisle.Tensors.Tests.Tokenizers;

public sealed class TokenizerFileTests
{
    private static readonly BpeTokenizer Learnt = BpeTokenizer.Learn(["the fox, the dog and the other \"fox\" \\ over\tthere"], 275);
    private static readonly byte[] Saved = BpeTokenizerTests.SavedBytes(Learnt);

    [Fact]
    public void A_saved_tokenizer_reads_back_as_itself()
    {
        var loaded = BpeTokenizer.Parse(Saved);
        Assert.Equal(Saved, BpeTokenizerTests.SavedBytes(loaded));
        WordSplitterTests.Text.Sample(text => Assert.Equal(Learnt.Encode(text), loaded.Encode(text)), iter: 50);
    }

    [Fact]
    public void Merges_written_as_pairs_read_the_same()
    {
        var file = JsonNode.Parse(Saved)!;
        var merges = file["model"]!["merges"]!.AsArray();
        for (var i = 0; i < merges.Count; i++) merges[i] = new JsonArray([.. merges[i]!.GetValue<string>().Split(' ').Select(side => JsonValue.Create(side))]);
        Assert.Equal(Saved, BpeTokenizerTests.SavedBytes(BpeTokenizer.Parse(Encoding.UTF8.GetBytes(file.ToJsonString()))));
    }

    [Theory]
    [InlineData("normalizer", """{"type":"NFC"}""", "normalises")]
    [InlineData("pre_tokenizer", """{"type":"Whitespace"}""", "ByteLevel")]
    [InlineData("pre_tokenizer", """{"type":"ByteLevel","add_prefix_space":true}""", "blank")]
    [InlineData("added_tokens", "[]", "special")]
    [InlineData("model", """{"type":"Unigram"}""", "BPE")]
    public void A_tokenizer_that_would_give_other_tokens_is_refused(string property, string value, string says)
    {
        var file = JsonNode.Parse(Saved)!;
        file[property] = JsonNode.Parse(value);
        var refused = Assert.Throws<AisleException>(() => BpeTokenizer.Parse(Encoding.UTF8.GetBytes(file.ToJsonString())));
        Assert.Equal("AISLE-5032", refused.Code);
        Assert.Contains(says, refused.What);
    }

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Contains("/no/such/tokenizer.json", Assert.Throws<AisleException>(() => BpeTokenizer.Load("/no/such/tokenizer.json")).What);

    [Fact]
    public void A_damaged_file_is_read_or_refused_and_nothing_else() =>
        Gen.Select(Gen.Int[0, Saved.Length - 1], Gen.Int[0, 3], Gen.Byte, Gen.Int[0, Saved.Length - 1]).Array[1, 3].Sample(damages =>
        {
            var bytes = Saved.ToList();
            foreach (var (at, kind, value, other) in damages)
            {
                if (at >= bytes.Count) continue;
                if (kind == 0) bytes[at] = value;
                else if (kind == 1) bytes.RemoveRange(at, Math.Min(bytes.Count - at, other % 40));
                else if (kind == 2) bytes.Insert(at, value);
                else bytes.RemoveRange(at, bytes.Count - at);
            }
            try
            {
                var tokenizer = BpeTokenizer.Parse(bytes.ToArray());
                Assert.Equal("the fox", tokenizer.Decode(tokenizer.Encode("the fox")));
            }
            catch (AisleException refused)
            {
                Assert.Equal("AISLE-5032", refused.Code);
            }
        });
}
