using System.Text;
using Aisle.Ledger;
using CsCheck;

namespace Aisle.Pipelines.Tests.Transforms;

public sealed class CleaningTests
{
    [Theory]
    [InlineData("e\u0301te\u0301", "\u00E9t\u00E9")]
    [InlineData("a\u00A0\u2003 \tb", "a b")]
    [InlineData("  a \r\n\r\n\r\n\r\n b  ", "a\n\nb")]
    [InlineData("a\u0000\u0007b\uFEFFc\u00ADd\u200Ee", "abcde")]
    [InlineData("👩\u200D🚀 naïve\u2028line", "👩\u200D🚀 naïve\nline")]
    [InlineData(" \n ", "")]
    public void There_is_one_way_to_write_a_text(string raw, string clean) => Assert.Equal(clean, CleanText.Normalize(raw));

    [Fact]
    public void Composed_form_is_that_of_the_unicode_standard()
    {
        foreach (var line in File.ReadLines(Repository.File("tests/Aisle.Pipelines.Tests/Transforms/composed-form.txt")).Where(line => line[0] != '#'))
        {
            var sides = line.Split(" > ").Select(side => string.Concat(side.Split(' ').Select(code => char.ConvertFromUtf32(Convert.ToInt32(code, 16))))).ToArray();
            Assert.True(sides[1] == ComposedForm.Of(sides[0]), line);
            Assert.Equal(sides[1], ComposedForm.Of(sides[1]));
        }
    }

    [Fact]
    public void Cleaning_what_is_clean_changes_nothing() =>
        Gen.Char["ab \t\r\n\u00A0\u0301\u0085\u200B\u200Dé中\uFEFF"].Array[0, 30].Select(letters => new string(letters)).Sample(raw =>
            Assert.Equal(CleanText.Normalize(raw), CleanText.Normalize(CleanText.Normalize(raw))));

    [Fact]
    public async Task What_is_not_language_is_left_out_and_counted_by_reason()
    {
        const string good = "This is a sentence of several words, and long enough.";
        using var cleaned = await Transformed.FromAsync("clean-text", ("part-00000.jsonl", Lines(good, "Short.", "Onlyonewordbutquitealongonetobesureaboutthat", new string('x', 120_000),
            "0x1F 0x2E 0x3D == 17 + 4 / 3.14159 ;; {} [] () <> 99 88 77 66 55 44")));
        Assert.Equal([(good, "s0")], cleaned.Documents);
        Assert.Equal(new RecordCounts(5, 1, 4, 0), cleaned.Result.Counts);
        Assert.Equal(["filtered: too few letters", "filtered: too few words", "filtered: too long", "filtered: too short"], cleaned.Result.Summary.Keys);
    }

    [Fact]
    public async Task The_first_of_equal_documents_stays()
    {
        using var unique = await Transformed.FromAsync("drop-duplicates", ("part-00000.jsonl", Lines("a", "b", "a", "A")), ("part-00001.jsonl", Lines("b", "c")));
        Assert.Equal(["a", "b", "A", "c"], unique.Documents.Select(document => document.Text));
        Assert.Equal(new RecordCounts(6, 4, 2, 0), unique.Result.Counts);
    }

    [Fact]
    public async Task Documents_that_differ_in_their_title_alone_can_be_duplicates()
    {
        var lines = Encoding.UTF8.GetBytes(Lines("A.Dispose\nFrees it.", "B.Dispose\nFrees it.", "C", "D", "A.Dispose\nFrees all."));
        using var unique = await Transformed.FromAsync("drop-duplicates", [("titleLines", "1")], ("part-00000.jsonl", lines));
        Assert.Equal(["A.Dispose\nFrees it.", "C", "D", "A.Dispose\nFrees all."], unique.Documents.Select(document => document.Text));
    }

    [Fact]
    public void Damaged_records_are_dead_letters_and_the_counts_add_up()
    {
        var whole = Encoding.UTF8.GetBytes(Lines("one two three four five six seven eight nine ten eleven", "zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich", "short"));
        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte, Gen.Bool).Array[1, 4].Sample(damages =>
        {
            var bytes = whole.ToList();
            foreach (var (at, value, insert) in damages)
            {
                if (insert) bytes.Insert(Math.Min(at, bytes.Count), value);
                else if (at < bytes.Count) bytes[at] = value;
            }
            using var cleaned = Transformed.FromAsync("clean-text", [], ("part-00000.jsonl", bytes.ToArray())).GetAwaiter().GetResult();
            Assert.Equal(bytes.Count(value => value == '\n') + (bytes[^1] == '\n' ? 0 : 1), cleaned.Result.Counts.In);
            Assert.Equal(cleaned.Result.Counts.Dead, cleaned.Dead.Count);
        }, iter: 200, threads: 1);
    }

    [Fact]
    public async Task A_record_longer_than_the_limit_is_set_aside_and_the_next_one_read()
    {
        var bytes = new List<byte>();
        bytes.AddRange(Encoding.UTF8.GetBytes(Lines("before this there was nothing at all, and now there is")));
        bytes.AddRange(Enumerable.Repeat((byte)'x', LineReader.DefaultMaxLineBytes + 100_000));
        bytes.AddRange(Encoding.UTF8.GetBytes("\n" + Lines("after this there is nothing more to be said, is there")));
        using var cleaned = await Transformed.FromAsync("clean-text", [], ("part-00000.jsonl", bytes.ToArray()));
        Assert.Equal(new RecordCounts(3, 2, 0, 1), cleaned.Result.Counts);
        Assert.Equal("part-00000.jsonl#2", cleaned.Dead.Single().Source);
    }

    internal static string Lines(params string[] texts) =>
        string.Concat(texts.Select((text, number) => $"{{\"text\":{System.Text.Json.JsonSerializer.Serialize(text)},\"source\":\"s{number}\"}}\n"));
}
