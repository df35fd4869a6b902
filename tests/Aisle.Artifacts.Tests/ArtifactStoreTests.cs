using CsCheck;

namespace Aisle.Artifacts.Tests;

public sealed class ArtifactStoreTests
{
    private static readonly Gen<Dictionary<string, byte[]>> Trees =
        Gen.Select(Gen.Int[0, 12], Gen.Int[0, int.MaxValue - 1]).Select((count, seed) =>
        {
            var random = new Random(seed);
            var files = new Dictionary<string, byte[]>();
            for (var i = 0; i < count; i++)
            {
                var depth = random.Next(0, 4);
                var path = string.Concat(Enumerable.Range(0, depth).Select(_ => $"d{random.Next(3)}/")) + $"f{i}-{(char)random.Next(0x3b1, 0x3c9)}";
                var length = random.Next(4) switch { 0 => 0, 1 => random.Next(100), 2 => random.Next(100_000), _ => random.Next(900_000) };
                var content = new byte[length];
                if (random.Next(4) > 0) random.NextBytes(content);
                files[path] = content;
            }
            return files;
        });

    [Fact]
    public async Task Any_tree_comes_back_as_it_went_in() => await Trees.SampleAsync(async files =>
    {
        using var folder = new Folder();
        using var disk = await DiskStore.OpenAsync(folder["store"]);
        var artifacts = new ArtifactStore(disk, folder["tmp"]);

        var put = await artifacts.PutAsync(folder.Write("in", files));
        await artifacts.GetAsync(put.Digest, folder["out"]);

        var back = Folder.Read(folder["out"]);
        Assert.Equal(files.Keys.Order(StringComparer.Ordinal), back.Keys);
        foreach (var (path, content) in files) Assert.Equal(content, back[path]);
        Assert.Equal(files.Values.Sum(content => (long)content.Length), put.Bytes);
        Assert.Equal((1, 1), (put.Copies, put.Wanted));
    }, iter: 20, threads: 1);

    [Fact]
    public async Task The_digest_of_fixed_content_never_changes()
    {
        // Users have digests in papers, ledgers and scripts: a change here breaks them all. A new format gets a new version byte instead.
        var files = new Dictionary<string, byte[]>
        {
            ["README.md"] = "hello"u8.ToArray(), ["data/empty"] = [], ["data/large.bin"] = Bytes.Lcg(3_000_000), ["data/é😀.txt"] = "ü"u8.ToArray(), ["data-2/x"] = [1],
        };
        using var folder = new Folder();
        var artifacts = new ArtifactStore(new MemoryStore(), folder["tmp"]);

        var put = await artifacts.PutAsync(folder.Write("in", files), new Dictionary<string, string> { ["kind"] = "dataset", ["a"] = "b" });

        Assert.Equal("sha256:4be5b745233f916375ca617160e4187f9f6a4c6ba73c4d3d7c702923b3ec9211", put.Digest.ToString());
    }

    [Fact]
    public async Task The_same_content_has_the_same_digest_whatever_its_times_order_place_or_store()
    {
        using var folder = new Folder();
        var files = Enumerable.Range(0, 40).ToDictionary(i => $"d{i % 5}/f{i}", i => Bytes.Random(i, 5000 * i));
        files[".hidden/.file"] = [1];
        var first = folder.Write("first", files);
        var second = folder.Write("elsewhere/second", files.Reverse());
        foreach (var file in Directory.EnumerateFiles(second, "*", SearchOption.AllDirectories)) File.SetLastWriteTimeUtc(file, new DateTime(1999, 1, 2, 3, 4, 5, DateTimeKind.Utc));
        Directory.CreateDirectory(Path.Combine(second, "nothing in here"));
        using var disk = await DiskStore.OpenAsync(folder["store"]);

        var one = await new ArtifactStore(disk, folder["tmp"]).PutAsync(first);
        var other = await new ArtifactStore(new MemoryStore(), folder["tmp"]).PutAsync(second);
        var again = await new ArtifactStore(disk, folder["tmp"]).PutAsync(second);

        Assert.Equal(one.Digest, other.Digest);
        Assert.Equal((one.Digest, 0L, 0), (again.Digest, again.StoredBytes, again.NewChunks));
        Assert.Equal(one.Chunks, again.Chunks);
    }

    [Fact]
    public async Task Any_difference_in_path_content_or_metadata_is_a_difference_in_digest()
    {
        var artifacts = new ArtifactStore(new MemoryStore());
        var puts = new[]
        {
            await artifacts.PutBytesAsync("a", new byte[] { 1 }), await artifacts.PutBytesAsync("b", new byte[] { 1 }), await artifacts.PutBytesAsync("a", new byte[] { 2 }),
            await artifacts.PutBytesAsync("a", Array.Empty<byte>()), await artifacts.PutBytesAsync("a", new byte[] { 1 }, new Dictionary<string, string> { ["k"] = "v" }),
            await artifacts.PutBytesAsync("a", new byte[] { 1 }, new Dictionary<string, string> { ["k"] = "w" }), await artifacts.PutBytesAsync("a/a", new byte[] { 1 }),
        };
        Assert.Equal(puts.Length, puts.Select(put => put.Digest).Distinct().Count());
    }

    [Fact]
    public async Task A_file_is_an_artifact_of_one_entry_and_equals_the_same_bytes_from_memory()
    {
        using var folder = new Folder();
        var content = Bytes.Random(1, 600_000);
        var file = Path.Combine(folder.Write("in", new Dictionary<string, byte[]> { ["x.bin"] = content }), "x.bin");
        var artifacts = new ArtifactStore(new MemoryStore(), folder["tmp"]);

        Assert.Equal((await artifacts.PutBytesAsync("x.bin", content)).Digest, (await artifacts.PutAsync(file)).Digest);
    }

    [Fact]
    public async Task A_small_insertion_into_a_large_file_stores_little_more()
    {
        using var folder = new Folder();
        var artifacts = new ArtifactStore(new MemoryStore(), folder["tmp"]);
        var content = Bytes.Random(1, 20_000_000);
        var first = await artifacts.PutBytesAsync("x", content);

        var second = await artifacts.PutBytesAsync("x", (byte[])[.. content[..9_000_000], .. "inserted"u8, .. content[9_000_000..]]);

        Assert.InRange(first.StoredBytes, 20_000_000, 20_100_000);
        Assert.InRange(second.StoredBytes, 1, 700_000);
        Assert.InRange(second.NewChunks, 1, 6);
    }

    [Fact]
    public async Task More_than_one_shard_is_sent_when_one_is_full()
    {
        using var folder = new Folder();
        using var disk = await DiskStore.OpenAsync(folder["store"]);
        var content = Bytes.Random(1, 70_000_000);
        var artifacts = new ArtifactStore(disk, folder["tmp"]);

        var put = await artifacts.PutBytesAsync("x", content);

        Assert.Equal(2, (await disk.ListShardsAsync()).Count);
        Assert.Equal(put.StoredBytes, disk.StoredBytes);
        Assert.Equal(content, (await artifacts.ReadEntryAsync(put.Digest, "x", int.MaxValue)).ToArray());
        Assert.Empty(Directory.GetFileSystemEntries(folder["tmp"]));
    }

    [Fact]
    public async Task Links_and_pipes_in_a_folder_are_refused_and_named()
    {
        using var folder = new Folder();
        var root = folder.Write("in", new Dictionary<string, byte[]> { ["ok"] = [1], ["sub/ok"] = [2] });
        var artifacts = new ArtifactStore(new MemoryStore(), folder["tmp"]);
        File.CreateSymbolicLink(Path.Combine(root, "secret"), "/etc/passwd");
        Directory.CreateSymbolicLink(Path.Combine(root, "sub", "loop"), root);

        var refusal = await Assert.ThrowsAsync<AisleException>(() => artifacts.PutAsync(root));

        Assert.Equal("AISLE-1008", refusal.Code);
        Assert.Contains("'secret' is a symbolic link", refusal.What);
        Assert.Contains("'sub/loop' is a symbolic link", refusal.What);
        if (!OperatingSystem.IsLinux()) return;

        File.Delete(Path.Combine(root, "secret"));
        Directory.Delete(Path.Combine(root, "sub", "loop"));
        using (var mkfifo = System.Diagnostics.Process.Start("mkfifo", Path.Combine(root, "pipe"))) await mkfifo.WaitForExitAsync();
        Assert.Contains("'pipe' is a pipe", (await Assert.ThrowsAsync<AisleException>(() => artifacts.PutAsync(root))).What);
    }

    [Fact]
    public async Task What_is_not_there_or_changes_while_it_is_read_is_a_clear_error()
    {
        using var folder = new Folder();
        var artifacts = new ArtifactStore(new MemoryStore(), folder["tmp"]);
        Assert.Equal("AISLE-1008", (await Assert.ThrowsAsync<AisleException>(() => artifacts.PutAsync(folder["nowhere"]))).Code);

        var root = folder.Write("in", new Dictionary<string, byte[]> { ["a"] = Bytes.Random(1, 100_000), ["b"] = [1] });
        var grow = new Told(_ => File.AppendAllText(Path.Combine(root, "b"), "more"));
        Assert.Contains("'b' changed", (await Assert.ThrowsAsync<AisleException>(() => artifacts.PutAsync(root, progress: grow))).What);
    }

    [Fact]
    public async Task Progress_rises_to_the_total_on_both_ways()
    {
        using var folder = new Folder();
        var artifacts = new ArtifactStore(new MemoryStore(), folder["tmp"]);
        foreach (var way in new[] { "put", "get" })
        {
            var seen = new List<TransferProgress>();
            var root = folder.Write("in", new Dictionary<string, byte[]> { ["a"] = Bytes.Random(1, 500_000), ["b/c"] = Bytes.Random(2, 300_000) });
            var put = await artifacts.PutAsync(root, progress: way == "put" ? new Told(seen.Add) : null);
            if (way == "get") await artifacts.GetAsync(put.Digest, folder["out"], new Told(seen.Add));
            Assert.Equal(seen.OrderBy(step => step.DoneBytes), seen);
            Assert.All(seen, step => Assert.Equal(800_000, step.TotalBytes));
            Assert.Equal(800_000, seen[^1].DoneBytes);
            Assert.Equal(["a", "b/c"], seen.Select(step => step.Entry).OfType<string>().Distinct());
        }
    }

    [Fact]
    public async Task A_get_into_a_folder_that_is_not_empty_is_refused_and_touches_nothing()
    {
        using var folder = new Folder();
        var artifacts = new ArtifactStore(new MemoryStore(), folder["tmp"]);
        var put = await artifacts.PutBytesAsync("x", Bytes.Random(1, 1000));
        var occupied = folder.Write("occupied", new Dictionary<string, byte[]> { ["mine"] = [7] });

        Assert.Equal("AISLE-1009", (await Assert.ThrowsAsync<AisleException>(() => artifacts.GetAsync(put.Digest, occupied))).Code);
        Assert.Equal("AISLE-1009", (await Assert.ThrowsAsync<AisleException>(() => artifacts.GetAsync(put.Digest, Path.Combine(occupied, "mine")))).Code);

        Assert.Equal([7], Assert.Single(Folder.Read(occupied)).Value);
        await artifacts.GetAsync(put.Digest, Directory.CreateDirectory(folder["empty"]).FullName + "/");
        Assert.Equal(["x"], Folder.Read(folder["empty"]).Keys);
    }

    [Fact]
    public async Task A_get_that_fails_or_is_cancelled_leaves_nothing_behind()
    {
        using var folder = new Folder();
        var store = new MemoryStore();
        var artifacts = new ArtifactStore(store);
        var content = Bytes.Random(1, 3_000_000);
        var put = await artifacts.PutBytesAsync("x", content);
        using var stop = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => artifacts.GetAsync(put.Digest, folder["out"], new Told(_ => stop.Cancel()), stop.Token));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));

        store.Chunks.Remove(store.Chunks.First(chunk => chunk.Value.AsSpan().IndexOf(content.AsSpan(2_000_000, 20)) >= 0).Key, out _);
        await Assert.ThrowsAsync<ArtifactMissingException>(() => artifacts.GetAsync(put.Digest, folder["out"]));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public async Task An_entry_reads_the_same_from_anywhere() => await Gen.Select(Gen.Int[1, 4_000_000], Gen.Int[0, int.MaxValue - 1]).SampleAsync(async (length, seed) =>
    {
        var artifacts = new ArtifactStore(new MemoryStore());
        var content = Bytes.Random(seed, length);
        var put = await artifacts.PutBytesAsync("deep/x", content);
        await using var stream = await artifacts.OpenEntryAsync(put.Digest, "deep/x");
        Assert.Equal(length, stream.Length);
        var random = new Random(seed);
        for (var i = 0; i < 20; i++)
        {
            var at = random.Next(length);
            var count = random.Next(1, Math.Min(300_000, length - at) + 1);
            if (random.Next(3) > 0) stream.Position = at;
            else at = (int)stream.Position;
            count = Math.Min(count, length - at);
            var part = new byte[count];
            if (random.Next(2) == 0) await stream.ReadExactlyAsync(part);
            else stream.ReadExactly(part);
            Assert.True(content.AsSpan(at, count).SequenceEqual(part));
        }
        stream.Position = length;
        Assert.Equal(0, await stream.ReadAsync(new byte[10]));
    }, iter: 15, threads: 1);

    [Fact]
    public async Task A_lone_read_in_a_large_entry_fetches_little()
    {
        var store = new MemoryStore();
        var artifacts = new ArtifactStore(store);
        var put = await artifacts.PutBytesAsync("x", Bytes.Random(1, 20_000_000));
        await using var stream = await artifacts.OpenEntryAsync(put.Digest, "x");
        store.Reads = 0;
        stream.Position = 15_000_000;
        await stream.ReadExactlyAsync(new byte[100]);
        Assert.InRange(store.Reads, 1, 4);
    }

    [Fact]
    public async Task An_absent_or_too_large_entry_is_a_clear_error()
    {
        var artifacts = new ArtifactStore(new MemoryStore());
        var put = await artifacts.PutBytesAsync("x", new byte[1000]);
        Assert.Equal("AISLE-1010", (await Assert.ThrowsAsync<AisleException>(() => artifacts.OpenEntryAsync(put.Digest, "y"))).Code);
        Assert.Equal("AISLE-1013", (await Assert.ThrowsAsync<AisleException>(() => artifacts.ReadEntryAsync(put.Digest, "x", maxBytes: 999))).Code);
        Assert.Equal(1000, (await artifacts.ReadEntryAsync(put.Digest, "x", maxBytes: 1000)).Length);
        await Assert.ThrowsAsync<ArtifactMissingException>(() => artifacts.OpenAsync(Digest.Of("nothing")));
        await Assert.ThrowsAsync<AisleException>(() => artifacts.PutBytesAsync("../x", new byte[1]));
    }

    [Fact]
    public async Task Metadata_and_entries_are_listed_and_metadata_has_bounds()
    {
        using var folder = new Folder();
        var artifacts = new ArtifactStore(new MemoryStore(), folder["tmp"]);
        var root = folder.Write("in", new Dictionary<string, byte[]> { ["b"] = [1, 2], ["a/c"] = [], ["a-b"] = [3] });

        var opened = await artifacts.OpenAsync((await artifacts.PutAsync(root, new Dictionary<string, string> { ["kind"] = "dataset" })).Digest);

        Assert.Equal("dataset", opened.Metadata["kind"]);
        Assert.Equal((3L, 3L), (opened.Entries, opened.Bytes));
        Assert.Equal([new ArtifactEntry("a-b", 1), new ArtifactEntry("a/c", 0), new ArtifactEntry("b", 2)], await opened.ListAsync().ToListAsync());
        var tooMuch = new Dictionary<string, string> { ["k"] = new string('x', 100_000) };
        Assert.Equal("AISLE-1014", (await Assert.ThrowsAsync<AisleException>(() => artifacts.PutAsync(root, tooMuch))).Code);
    }

    /// <summary>Calls back at once, on the caller's thread.</summary>
    private sealed class Told(Action<TransferProgress> tell) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value) => tell(value);
    }
}
