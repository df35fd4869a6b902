using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Aisle.Ledger;
using Aisle.Tensors.Tokenizers;

namespace Aisle.Pipelines.Tests.Transforms;

public sealed class TokenizingTests
{
    private static readonly string[] Texts = [.. Enumerable.Range(0, 400).Select(number => $"Gets the value number {number} of the élement at the specified index {number % 7}.")];

    [Fact]
    public async Task The_tokens_say_what_the_documents_said()
    {
        using var tokens = await TokenizeAsync(Texts, validation: "0.25");
        var tokenizer = BpeTokenizer.Load(Path.Combine(tokens.Folder("tokens"), "tokenizer.json"));
        var (train, held) = (Decode(tokens, tokenizer, "train.u16"), Decode(tokens, tokenizer, "validation.u16"));
        Assert.Equal(Texts.Order(), train.Concat(held).Order());
        Assert.InRange(held.Count, 60, 140);
        Assert.Equal(new RecordCounts(400, 400, 0, 0), tokens.Result.Counts);

        var figures = JsonDocument.Parse(File.ReadAllText(Path.Combine(tokens.Folder("tokens"), "tokens.json"))).RootElement;
        Assert.Equal(tokenizer.VocabularySize, figures.GetProperty("vocabularySize").GetInt32());
        Assert.Equal(tokenizer.EndOfText, figures.GetProperty("endOfText").GetInt32());
        Assert.Equal(new FileInfo(Path.Combine(tokens.Folder("tokens"), "train.u16")).Length / 2, figures.GetProperty("trainTokens").GetInt64());
        Assert.Equal(new FileInfo(Path.Combine(tokens.Folder("tokens"), "validation.u16")).Length / 2, figures.GetProperty("validationTokens").GetInt64());
        Assert.Equal(held.Sum(text => (long)Encoding.UTF8.GetByteCount(text)), figures.GetProperty("validationBytes").GetInt64());
    }

    [Fact]
    public async Task Which_documents_are_held_out_depends_on_the_seed_and_on_nothing_else()
    {
        using var some = await TokenizeAsync(Texts, "0.25");
        using var reversed = await TokenizeAsync([.. Texts.Reverse(), .. Enumerable.Range(0, 50).Select(number => $"another one {number}")], "0.25");
        using var other = await TokenizeAsync(Texts, "0.25", seed: 2);
        Assert.Equal(HeldOut(some).Order(), HeldOut(reversed).Where(Texts.Contains).Order());
        Assert.NotEqual(HeldOut(some).Order(), HeldOut(other).Order());
    }

    [Fact]
    public async Task A_vocabulary_for_more_than_16_bits_is_refused()
    {
        var file = JsonNode.Parse(Saved(BpeTokenizer.Learn(Texts, 300)))!;
        var vocabulary = file["model"]!["vocab"]!.AsObject();
        for (var number = 0; vocabulary.Count <= ushort.MaxValue; number++) vocabulary[$"x{number:D5}"] = vocabulary.Count;
        var large = BpeTokenizer.Parse(Encoding.UTF8.GetBytes(file.ToJsonString()));
        Assert.Equal("AISLE-4014", (await Assert.ThrowsAsync<AisleException>(() => TokenizeAsync(Texts, "0", tokenizer: large))).Code);
    }

    [Fact]
    public async Task Nothing_left_to_train_on_is_said() =>
        Assert.Equal("AISLE-4015", (await Assert.ThrowsAsync<AisleException>(() => TokenizeAsync([], "0"))).Code);

    [Fact]
    public async Task A_program_that_is_no_data_step_a_bad_value_and_a_missing_folder_are_named()
    {
        using var folder = new TemporaryFolder();
        var call = new TransformCall { Program = "train-language-model@1", Inputs = new Dictionary<string, string>(), Outputs = new Dictionary<string, string>() };
        Assert.Equal("AISLE-4010", (await Assert.ThrowsAsync<AisleException>(() => TextTransforms.RunAsync(call))).Code);
        Assert.Equal("AISLE-4011", (await Assert.ThrowsAsync<AisleException>(() => TextTransforms.RunAsync(call with { Program = "clean-text@1" }))).Code);
        Assert.Equal("AISLE-4012", (await Assert.ThrowsAsync<AisleException>(() => Transformed.FromAsync("clean-text", [("minWords", "many")], ("part-00000.jsonl", Array.Empty<byte>())))).Code);
    }

    [Fact]
    public async Task A_step_that_is_cancelled_stops_in_the_middle()
    {
        using var folder = new TemporaryFolder();
        var input = Directory.CreateDirectory(Path.Combine(folder.Path, "in")).FullName;
        for (var part = 0; part < 5; part++) await File.WriteAllTextAsync(Path.Combine(input, $"part-0000{part}.jsonl"), CleaningTests.Lines(Texts));
        using var cancelling = new CancellationTokenSource();
        var call = new TransformCall
        {
            Program = "clean-text@1",
            Inputs = new Dictionary<string, string> { ["documents"] = input },
            Outputs = new Dictionary<string, string> { ["documents"] = Path.Combine(folder.Path, "documents"), ["dead"] = Path.Combine(folder.Path, "dead") },
            Progress = new Synchronous<TransformProgress>(_ => cancelling.Cancel()),
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => TextTransforms.RunAsync(call, cancelling.Token));
        Assert.Equal(Texts.Length, File.ReadLines(Path.Combine(folder.Path, "documents", "part-00000.jsonl")).Count());
    }

    private sealed class Synchronous<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }

    [Fact]
    public async Task Every_step_gives_the_same_bytes_whatever_order_the_files_came_in()
    {
        (string, byte[])[] files = [.. Enumerable.Range(0, 12).Select(number => ($"{(number % 3 == 0 ? "deep/" : "")}{number}.txt",
            Encoding.UTF8.GetBytes(string.Join("\n\n", Texts.Skip(number * 30).Take(40)))))];
        var once = await ChainAsync(files);
        var again = await ChainAsync([.. files.Reverse()]);
        Assert.Equal(once, again);
        Assert.True(once.Count > 10);
    }

    private static async Task<SortedDictionary<string, string>> ChainAsync((string, byte[])[] files)
    {
        using var extracted = await Transformed.FromAsync("extract-text", [("groupCharacters", "100")], files);
        using var cleaned = await Transformed.FromAsync("clean-text", [], Parts(extracted));
        using var unique = await Transformed.FromAsync("drop-duplicates", [], Parts(cleaned));
        using var vocabulary = await Transformed.FromAsync("learn-vocabulary", [("size", "300")], Parts(unique));
        var tokenizer = ("vocabulary", "tokenizer.json", File.ReadAllBytes(Path.Combine(vocabulary.Folder("vocabulary"), "tokenizer.json")));
        using var tokens = await Transformed.FromAsync("tokenize", [("validation", "0.1")], [.. Parts(unique).Select(part => ("documents", part.File, part.Content)), tokenizer]);
        return new(new[] { extracted, cleaned, unique, vocabulary, tokens }.SelectMany((step, number) => step.Bytes.Select(file => KeyValuePair.Create($"{number} {file.Key}", file.Value))).ToDictionary());
    }

    private static (string File, byte[] Content)[] Parts(Transformed step) =>
        [.. Directory.GetFiles(step.Folder("documents")).Select(file => (Path.GetFileName(file), File.ReadAllBytes(file)))];

    private static async Task<Transformed> TokenizeAsync(string[] texts, string validation, ulong seed = 1, BpeTokenizer? tokenizer = null)
    {
        return await Transformed.FromAsync("tokenize", [("validation", validation)],
            [("documents", "part-00000.jsonl", Encoding.UTF8.GetBytes(CleaningTests.Lines(texts))), ("vocabulary", "tokenizer.json", Saved(tokenizer ?? BpeTokenizer.Learn(Texts, 300)))], seed);
    }

    private static byte[] Saved(BpeTokenizer tokenizer)
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "tokenizer.json");
        tokenizer.Save(path);
        return File.ReadAllBytes(path);
    }

    private static List<string> HeldOut(Transformed tokens) => Decode(tokens, BpeTokenizer.Load(Path.Combine(tokens.Folder("tokens"), "tokenizer.json")), "validation.u16");

    private static List<string> Decode(Transformed tokens, BpeTokenizer tokenizer, string file)
    {
        var texts = new List<string>();
        var document = new List<int>();
        foreach (var token in MemoryMarshal.Cast<byte, ushort>(File.ReadAllBytes(Path.Combine(tokens.Folder("tokens"), file))))
        {
            if (token != tokenizer.EndOfText)
            {
                document.Add(token);
                continue;
            }
            texts.Add(tokenizer.Decode(CollectionsMarshal.AsSpan(document)));
            document.Clear();
        }
        Assert.Empty(document);
        return texts;
    }
}
