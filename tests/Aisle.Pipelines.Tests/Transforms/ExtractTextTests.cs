using System.Text;
using Aisle.Ledger;
using CsCheck;

namespace Aisle.Pipelines.Tests.Transforms;

public sealed class ExtractTextTests
{
    private const string Documentation = """
        <?xml version="1.0" encoding="utf-8"?>
        <doc>
          <assembly><name>System.Collections</name></assembly>
          <members>
            <member name="T:System.Collections.BitArray">
              <summary>Manages a compact array of bit values, where <see langword="true" /> indicates that the bit is on.</summary>
            </member>
            <member name="M:System.Collections.Generic.List`1.LastIndexOf(`0)">
              <summary>Searches for the <paramref name="item"/> and returns
                  the index of its last occurrence in the <see cref="T:System.Collections.Generic.List`1" />.</summary>
              <param name="item">The object to locate, at most <see cref="F:System.Int32.MaxValue">Int32.MaxValue</see> long.</param>
              <param name="unused"></param>
              <returns>The index, if found; otherwise, -1.</returns>
              <exception cref="T:System.ArgumentException">Never mind.</exception>
              <remarks><para>First.</para><para>Second &lt;b&gt;.</para><code>var x = 1;</code></remarks>
            </member>
            <member name="P:System.Inherited"><inheritdoc/></member>
            <member name="P:System.Empty"/>
          </members>
        </doc>
        """;

    [Fact]
    public async Task Documentation_becomes_english_by_member()
    {
        using var extracted = await Transformed.FromAsync("extract-text", ("a/System.Collections.xml", Documentation));
        Assert.Equal(
        [
            ("System.Collections.BitArray\nManages a compact array of bit values, where true indicates that the bit is on.", "a/System.Collections.xml#T:System.Collections.BitArray"),
            ("""
            System.Collections.Generic.List<T>.LastIndexOf
            Searches for the item and returns the index of its last occurrence in the List<T>.
            First.
            Second <b>.
            item: The object to locate, at most Int32.MaxValue long.
            Returns: The index, if found; otherwise, -1.
            """, "a/System.Collections.xml#M:System.Collections.Generic.List`1.LastIndexOf(`0)"),
        ], extracted.Documents);
        Assert.Equal(new RecordCounts(4, 2, 2, 0), extracted.Result.Counts);
    }

    [Theory]
    [InlineData("T:System.Collections.Generic.Dictionary`2", "System.Collections.Generic.Dictionary<T1, T2>", "Dictionary<T1, T2>")]
    [InlineData("M:System.Linq.Enumerable.Select``2(System.Int32)", "System.Linq.Enumerable.Select", "Enumerable.Select")]
    [InlineData("M:System.Text.Rune.#ctor(System.Char)", "System.Text.Rune constructor", "Rune constructor")]
    [InlineData("P:System.Memory{T}.Length", "System.Memory<T>.Length", "Memory<T>.Length")]
    [InlineData("M:System.Half.op_Explicit(System.Char)~System.Half", "System.Half.op_Explicit", "Half.op_Explicit")]
    [InlineData("M:X.Set`1.System#Collections#Generic#IEnumerable{T}#Get", "X.Set<T>.System.Collections.Generic.IEnumerable<T>.Get", "Set<T>.Get")]
    [InlineData("N:System.Text", "System.Text", "System.Text")]
    [InlineData("!:Nonsense", "Nonsense", "Nonsense")]
    [InlineData("", "", "")]
    public void Ids_read_as_people_say_them(string id, string full, string brief)
    {
        Assert.Equal(full, MemberName.Full(id));
        Assert.Equal(brief, MemberName.Short(id));
    }

    [Fact]
    public async Task Plain_text_is_grouped_by_paragraphs()
    {
        var (a, b, c) = (new string('a', 90), new string('b', 90), new string('c', 30));
        using var extracted = await Transformed.FromAsync("extract-text", [("groupCharacters", "100")], ("x.md", Encoding.UTF8.GetBytes($"\uFEFF{a}\n\n\n{b}\r\n{b}\n\n{c}")));
        Assert.Equal([($"{a}\n\n{b}\n{b}", "x.md#1"), (c, "x.md#7")], extracted.Documents);
    }

    [Fact]
    public async Task Html_loses_its_tags()
    {
        using var extracted = await Transformed.FromAsync("extract-text", ("x.html",
            "<html><head><title>t</title></head><body><script>if (a < b) alert('</p>');</script><h1>A &amp; B</h1><!-- <p>no</p> --><p>Some <b>bold</b>\n text, 1 < 2.<br/>Line"));
        Assert.Equal("t\n\nA & B\n\nSome bold text, 1 < 2.\nLine", Assert.Single(extracted.Documents).Text);
    }

    [Fact]
    public async Task Other_xml_gives_its_text()
    {
        using var extracted = await Transformed.FromAsync("extract-text", ("x.xml", "<feed><title>One</title><p>Two <b>three</b> four</p></feed>"));
        Assert.StartsWith("One", Assert.Single(extracted.Documents).Text);
    }

    [Fact]
    public async Task A_broken_file_loses_only_what_is_broken()
    {
        using var extracted = await Transformed.FromAsync("extract-text", [],
            ("a-cut.xml", Encoding.UTF8.GetBytes(Documentation[..Documentation.IndexOf("<returns>", StringComparison.Ordinal)])),
            ("b-dtd.xml", "<!DOCTYPE doc [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><doc><members><member name='T:X'><summary>&x;</summary></member></members></doc>"u8.ToArray()),
            ("c.jsonl", "{\"text\":\"good\"}\n\n{\"text\":5}\n{\"text\":\"half\\ud800\"}\n{\"other\":1}\n[1]\n{\"text\":\"wide ÿ\"}\n{\"text\":\"last\",\"more\":{\"a\":[1]}}"u8.ToArray()),
            ("d.jsonl", [.. "{\"text\":\""u8, 0xFF, .. "\"}\n{\"text\":\"fine\"}\n"u8]),
            ("e.txt", [.. "good line\n\n"u8, .. Enumerable.Repeat((byte)'x', 2000), .. "\n\nbad "u8, 0xC3, .. " line\n\nafter\n"u8]),
            ("f.html", [.. "<p>"u8, 0xFE]),
            ("g.dll", [0x4D, 0x5A, 0, 0, 1]),
            ("h", "text without an ending"u8.ToArray()),
            ("i-utf16.txt", [.. Encoding.Unicode.GetPreamble(), .. Encoding.Unicode.GetBytes("wide")]));
        Assert.Equal(
            ["a-cut.xml#T:System.Collections.BitArray", "c.jsonl#1", "c.jsonl#7", "c.jsonl#8", "d.jsonl#2", "e.txt#1", "h#1"], extracted.Documents.Select(document => document.Source));
        Assert.Equal(["a-cut.xml#13:7", "b-dtd.xml", "c.jsonl#3", "c.jsonl#4", "c.jsonl#5", "c.jsonl#6", "d.jsonl#1", "e.txt#5", "f.html", "i-utf16.txt#1"], extracted.Dead.Select(letter => letter.Source));
        Assert.Equal(new RecordCounts(18, 7, 1, 10), extracted.Result.Counts);
        Assert.Contains(extracted.Dead, letter => letter is { Source: "e.txt#5", Error: "line 5: the line is not UTF-8" });
        Assert.All(extracted.Dead, letter => Assert.NotEmpty(letter.Error));
    }

    [Fact]
    public async Task A_file_without_text_is_counted()
    {
        using var extracted = await Transformed.FromAsync("extract-text", ("empty.txt", ""), ("empty.html", "<p></p>"), ("other.xml", "<doc><assembly/></doc>"), ("blank.jsonl", "\n\n"));
        Assert.Equal(new RecordCounts(4, 0, 4, 0), extracted.Result.Counts);
        Assert.Equal(4, extracted.Result.Summary["filtered: file without text"]);
        Assert.Equal(["part-00000.jsonl"], Directory.GetFiles(extracted.Folder("documents")).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_link_out_of_the_folder_is_not_followed()
    {
        using var secret = new TemporaryFolder();
        File.WriteAllText(Path.Combine(secret.Path, "secret.txt"), "not yours");
        using var folder = new TemporaryFolder();
        var input = Directory.CreateDirectory(Path.Combine(folder.Path, "in")).FullName;
        File.CreateSymbolicLink(Path.Combine(input, "link.txt"), Path.Combine(secret.Path, "secret.txt"));
        Directory.CreateSymbolicLink(Path.Combine(input, "links"), secret.Path);
        var result = await TextTransforms.RunAsync(new TransformCall
        {
            Program = "extract-text@1",
            Inputs = new Dictionary<string, string> { ["files"] = input },
            Outputs = new Dictionary<string, string> { ["documents"] = Path.Combine(folder.Path, "documents"), ["dead"] = Path.Combine(folder.Path, "dead") },
        });
        Assert.Equal(0, result.Counts.In);
    }

    [Fact]
    public void Damaged_files_of_every_kind_are_kept_or_set_aside_and_the_counts_add_up()
    {
        (string Name, byte[] Content)[] files =
        [
            ("a.xml", Encoding.UTF8.GetBytes(Documentation)), ("b.html", "<p>One <b>two</b> &amp; <!-- x --> three</p><script>x</script>"u8.ToArray()),
            ("c.jsonl", "{\"text\":\"one\",\"source\":\"s\"}\n{\"text\":\"two \\u00e9\"}\n"u8.ToArray()), ("d.txt", "one\n\ntwo é\n"u8.ToArray()), ("e", "x"u8.ToArray()),
        ];
        Gen.Select(Gen.Int[0, files.Length - 1], Gen.Int[0, 3], Gen.Int[0, 10_000], Gen.Byte.Array[1, 8]).Array[1, 6].Sample(damages =>
        {
            var damaged = files.Select(file => (file.Name, file.Content.ToList())).ToArray();
            foreach (var (which, kind, where, bytes) in damages)
            {
                var content = damaged[which].Item2;
                if (content.Count == 0) continue;
                var at = where % content.Count;
                if (kind == 0) content[at] ^= bytes[0];
                else if (kind == 1) content.InsertRange(at, bytes);
                else if (kind == 2) content.RemoveRange(at, content.Count - at);
                else content.RemoveRange(at, Math.Min(content.Count - at, bytes[0]));
            }
            using var extracted = Transformed.FromAsync("extract-text", [], [.. damaged.Select(file => (file.Name, file.Item2.ToArray()))]).GetAwaiter().GetResult();
            Assert.Equal(extracted.Result.Counts.Out, extracted.Documents.Count);
            Assert.Equal(extracted.Result.Counts.Dead, extracted.Dead.Count);
        }, iter: 300, threads: 1);
    }
}
