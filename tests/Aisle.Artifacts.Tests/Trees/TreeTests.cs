using CsCheck;

namespace Aisle.Artifacts.Tests;

public sealed class TreeTests
{
    public static TheoryData<string> BadPaths =>
    [
        "", "/etc/passwd", "/", "../x", "a/../../x", "a/..", "..", ".", "./a", "a/./b", "a//b", "a/", "//a", "a\\b", "..\\x", "C:\\x", "a\0b", "\ud800", "a/\udfff/b",
        new string('x', 256), string.Concat(Enumerable.Repeat("abcdefg/", 128)) + "h",
    ];

    [Theory, MemberData(nameof(BadPaths))]
    public void A_path_that_could_leave_its_folder_is_refused_on_write(string path) =>
        Assert.Equal("AISLE-1007", Assert.Throws<AisleException>(() => EntryPath.Check(path)).Code);

    [Theory, MemberData(nameof(BadPaths))]
    public async Task A_path_that_could_leave_its_folder_is_refused_on_read(string path)
    {
        if (path.Any(char.IsSurrogate)) return; // cannot even be encoded; see the test of invalid UTF-8
        var store = new MemoryStore();
        await RefusedAsync(store, HostileArtifact(store, path));
    }

    [Theory, InlineData("a", "a"), InlineData("b", "a"), InlineData("a", "a/b"), InlineData("a", "a!", "a/b"), InlineData("a/b", "a/b/c/d")]
    public async Task Entries_that_repeat_fall_out_of_order_or_lie_inside_each_other_are_refused_on_read(params string[] paths)
    {
        var store = new MemoryStore();
        await RefusedAsync(store, HostileArtifact(store, paths));
    }

    [Fact]
    public async Task A_path_that_is_not_UTF8_is_refused_on_read()
    {
        var store = new MemoryStore();
        var page = DirectoryNode.Encode(0, [new DirectoryItem(new TreeEntry("abcd", 0, default, 0), default, 1, 0)]);
        page[Array.IndexOf(page, (byte)'b')] = 0xFF;
        await RefusedAsync(store, store.Keep(new RootNode(1, 0, store.Keep(page), 1, RootNode.NoMetadata).Encode()));
    }

    [Fact]
    public void Paths_are_ordered_as_their_UTF8_bytes_are() => Gen.Select(Gen.String, Gen.String).Sample((a, b) =>
    {
        if (EntryPath.Fault("x" + a.Replace('/', '_')) is not null || EntryPath.Fault("x" + b.Replace('/', '_')) is not null) return;
        Assert.Equal(Math.Sign(EntryPath.Encode(a).AsSpan().SequenceCompareTo(EntryPath.Encode(b))), Math.Sign(EntryPath.Compare(a, b)));
    }, iter: 2000, threads: 1);

    [Fact]
    public void Paths_above_the_basic_plane_are_ordered_as_their_UTF8_bytes_are() =>
        Assert.True(EntryPath.Compare("\uffee", "\U0001F600") < 0 && EntryPath.Compare("\U0001F600", "\uffee") > 0);

    [Fact]
    public async Task Ten_thousand_entries_are_listed_in_order_and_each_is_found()
    {
        var (store, root, paths) = await BigDirectoryAsync(10_000);

        var listed = new List<string>();
        await foreach (var entry in TreeReader.EntriesAsync(store, root)) listed.Add(entry.Path);

        Assert.Equal(paths, listed);
        foreach (var path in paths.Where((_, i) => i % 97 == 0))
            Assert.Equal(path, (await TreeReader.FindAsync(store, root, path, default))!.Value.Path);
        Assert.Null(await TreeReader.FindAsync(store, root, "not/there", default));
        Assert.True(root.Height > 1);
        Assert.All(store.Chunks.Values, node => Assert.InRange(node.Length, 1, Chunker.MaxBytes));
    }

    [Fact]
    public async Task Entries_with_the_longest_paths_still_make_nodes_that_fit_a_chunk()
    {
        var folder = string.Join('/', Enumerable.Repeat(new string('d', 250), 4)) + "/";
        var (store, root, _) = await BigDirectoryAsync(3000, folder);
        Assert.Equal(3000, await TreeReader.EntriesAsync(store, root).CountAsync());
        Assert.All(store.Chunks.Values, node => Assert.InRange(node.Length, 1, Chunker.MaxBytes));
    }

    [Fact]
    public async Task An_added_entry_rewrites_a_few_nodes_only()
    {
        var (before, _, _) = await BigDirectoryAsync(20_000);
        var (after, _, _) = await BigDirectoryAsync(20_001);
        Assert.InRange(after.Chunks.Keys.Except(before.Chunks.Keys).Count(), 1, 5);
    }

    [Fact]
    public async Task A_huge_entry_is_walked_from_any_offset()
    {
        const int Chunks = 300_000; // 3 levels
        var store = new MemoryStore();
        var builder = new ContentBuilder((node, _) => ValueTask.FromResult(store.Keep(node.ToArray())));
        for (var i = 0; i < Chunks; i++) await builder.AddAsync(new ContentRef(Digest.Of($"{i}"), 1000 + i % 7), default);
        var (top, height) = (await builder.FinishAsync(0, default))!.Value;
        var entry = new TreeEntry("huge", top.LengthBytes, top.Digest, height);
        Assert.InRange(height, 2, 4);

        var at = top.LengthBytes - 5_000_000;
        var rest = await TreeReader.ChunksAsync(store, entry, at).ToListAsync();

        Assert.True(rest[0].Offset <= at && rest[0].Offset + rest[0].LengthBytes > at);
        Assert.Equal(top.LengthBytes, rest[^1].Offset + rest[^1].LengthBytes);
        Assert.Equal(Digest.Of($"{Chunks - 1}"), rest[^1].Digest);
        for (var i = 1; i < rest.Count; i++) Assert.Equal(rest[i - 1].Offset + rest[i - 1].LengthBytes, rest[i].Offset);
    }

    [Fact]
    public void Any_damage_to_a_node_is_refused_or_harmless() => Gen.Int[0, int.MaxValue - 1].Sample(seed =>
    {
        var metadata = RootNode.CheckMetadata(new Dictionary<string, string> { ["kind"] = "dataset", ["é"] = "x" });
        var entries = Enumerable.Range(0, 5).Select(i => new DirectoryItem(new TreeEntry($"f{i}", i * 10, Digest.Of($"{i}"), 0), Digest.Of($"n{i}"), 1, i * 10)).ToList();
        var contents = Enumerable.Range(1, 5).Select(i => new ContentRef(Digest.Of($"{i}"), i)).ToList();
        Refused(new RootNode(5, 100, Digest.Of("d"), 1, metadata).Encode(), bytes => RootNode.Decode(bytes));
        Refused(DirectoryNode.Encode(0, entries), bytes => DirectoryNode.Decode(bytes, 1, 5, 100));
        Refused(DirectoryNode.Encode(1, entries), bytes => DirectoryNode.Decode(bytes, 2, 5, 100));
        Refused(ContentNode.Encode(0, contents), bytes => ContentNode.Decode(bytes, 1, 15));
        Refused(ContentNode.Encode(1, contents), bytes => ContentNode.Decode(bytes, 2, 15));

        void Refused(byte[] node, Action<byte[]> decode)
        {
            decode(node);
            try
            {
                decode(Bytes.Damage(node, seed));
            }
            catch (ArtifactInvalidException)
            {
            }
        }
    }, iter: 2000, threads: 1);

    [Fact]
    public async Task An_artifact_with_any_damaged_chunk_restores_equal_or_not_at_all() => await Gen.Int[0, int.MaxValue - 1].SampleAsync(async seed =>
    {
        using var folder = new Folder();
        var store = new MemoryStore();
        var artifacts = new ArtifactStore(store, folder["tmp"]);
        var put = await artifacts.PutAsync(folder.Write("in", new Dictionary<string, byte[]> { ["a/b"] = Bytes.Random(seed, 400_000), ["c"] = Bytes.Random(seed + 1, 10), ["e"] = [] }));
        var victim = store.Chunks.Keys.Order().ElementAt(seed % store.Chunks.Count);
        var whole = store.Chunks[victim];
        store.Chunks[victim] = Bytes.Damage(whole, seed); // this store checks nothing: what is tested are the parsers behind it
        try
        {
            await artifacts.GetAsync(put.Digest, folder["out"]);
        }
        catch (AisleException)
        {
        }
        Assert.Equal(Directory.Exists(folder["out"]) ? 4 : 3, Directory.GetFileSystemEntries(folder.Path).Length + 1);
    }, iter: 60, threads: 1);

    [Fact]
    public void A_digest_of_something_else_is_not_an_artifact()
    {
        foreach (var bytes in new[] { [], "hello"u8.ToArray(), new byte[1000], ContentNode.Encode(0, [new ContentRef(default, 1)]) })
            Assert.Throws<ArtifactInvalidException>(() => RootNode.Decode(bytes));
    }

    private static Digest HostileArtifact(MemoryStore store, params string[] paths)
    {
        var page = DirectoryNode.Encode(0, [.. paths.Select(path => new DirectoryItem(new TreeEntry(path, 0, default, 0), default, 1, 0))]);
        return store.Keep(new RootNode(paths.Length, 0, store.Keep(page), 1, RootNode.NoMetadata).Encode());
    }

    private static async Task RefusedAsync(MemoryStore store, Digest artifact)
    {
        using var folder = new Folder();
        await Assert.ThrowsAsync<ArtifactInvalidException>(() => new ArtifactStore(store).GetAsync(artifact, folder["deep/in/out"]));
        Assert.Empty(Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories));
    }

    private static async Task<(MemoryStore Store, RootNode Root, List<string> Paths)> BigDirectoryAsync(int entries, string folder = "")
    {
        var store = new MemoryStore();
        var builder = new DirectoryBuilder((node, _) => ValueTask.FromResult(store.Keep(node.ToArray())));
        var paths = Enumerable.Range(0, entries).Select(i => $"{folder}d{i % 10}/file-{i * 7919 % 1_000_003}").ToList();
        paths.Sort(EntryPath.Compare);
        foreach (var path in paths) await builder.AddAsync(new DirectoryItem(new TreeEntry(path, 1, Digest.Of(path), 0), default, 1, 1), default);
        var (top, height) = (await builder.FinishAsync(1, default))!.Value;
        return (store, new RootNode(entries, entries, top.Node, height, RootNode.NoMetadata), paths);
    }
}
