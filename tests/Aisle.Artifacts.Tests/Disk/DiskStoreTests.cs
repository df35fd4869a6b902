using System.Diagnostics;

namespace Aisle.Artifacts.Tests;

public sealed class DiskStoreTests : IDisposable
{
    private readonly Folder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task What_was_acknowledged_is_there_when_the_store_is_opened_again()
    {
        var put = await PutAsync(Bytes.Random(1, 500_000));
        using var disk = await OpenAsync();
        Assert.Equal(Bytes.Random(1, 500_000), await ReadAsync(disk, put));
    }

    [Fact]
    public async Task Unfinished_files_are_gone_when_the_store_is_opened_again()
    {
        var put = await PutAsync(Bytes.Random(1, 1000));
        File.WriteAllBytes(_folder["store/tmp/abandoned"], Bytes.Random(2, 1000));
        Directory.CreateDirectory(_folder["store/tmp/folder"]);

        using var disk = await OpenAsync();

        Assert.Empty(Directory.GetFileSystemEntries(disk.TemporaryDirectory));
        Assert.Equal(Bytes.Random(1, 1000), await ReadAsync(disk, put));
    }

    [Fact]
    public async Task A_shard_whose_footer_is_damaged_is_mended_from_its_frames_when_opened()
    {
        var put = await PutAsync(Bytes.Random(1, 500_000));
        var whole = File.ReadAllBytes(ShardFile);
        foreach (var at in new[] { whole.Length - 1, whole.Length - 20, whole.Length - 100 })
        {
            ThreeNodes.Flip(ShardFile, at);
            using var disk = await OpenAsync();
            Assert.Equal(Bytes.Random(1, 500_000), await ReadAsync(disk, put));
            Assert.Equal(whole, File.ReadAllBytes(ShardFile));
            Assert.Equal(1, disk.CorruptionsFound);
        }
    }

    [Fact]
    public async Task A_shard_cut_short_is_set_aside_when_opened_and_the_next_put_makes_it_whole()
    {
        var content = Bytes.Random(1, 500_000);
        var put = await PutAsync(content);
        using (var file = File.OpenWrite(ShardFile)) file.SetLength(file.Length / 2);

        using var disk = await OpenAsync();
        Assert.Empty(await disk.ListShardsAsync());
        await Assert.ThrowsAsync<ArtifactMissingException>(() => ReadAsync(disk, put));
        var again = await new ArtifactStore(disk).PutBytesAsync("x", content);

        Assert.Equal(put, again.Digest);
        Assert.Equal(content, await ReadAsync(disk, put));
        Assert.Single(await disk.ListShardsAsync());
        Assert.Empty(Directory.GetFiles(_folder["store/quarantine"]));
    }

    [Fact]
    public async Task A_flipped_byte_is_found_on_read_and_the_other_chunks_of_the_shard_are_still_served()
    {
        var content = Bytes.Random(1, 500_000);
        await PutAsync(content);
        using var disk = await OpenAsync();
        var slots = Slots();
        var victim = slots[0];
        ThreeNodes.Flip(ShardFile, victim.Offset + ShardFrame.HeaderBytes + 5);

        var damage = await Assert.ThrowsAsync<ChunkCorruptException>(() => disk.ReadChunkAsync(victim.Chunk));

        Assert.Equal((victim.Chunk, 1L), (damage.Chunk, disk.CorruptionsFound));
        Assert.Empty(await disk.ListShardsAsync());
        foreach (var slot in slots[1..]) Assert.Equal(slot.Chunk, Digest.Of((await disk.ReadChunkAsync(slot.Chunk)).Span));
        Assert.Equal(slots.Select(slot => slot.Chunk), (await disk.FindMissingAsync([.. slots.Select(slot => slot.Chunk)])).Missing); // to be sent again
    }

    [Fact]
    public async Task While_a_damaged_shard_is_set_aside_its_other_chunks_are_read_without_a_gap()
    {
        await PutAsync(Bytes.Random(1, 5_000_000));
        var slots = Slots();
        for (var round = 0; round < 5; round++)
        {
            ThreeNodes.Flip(ShardFile, slots[0].Offset + ShardFrame.HeaderBytes + 5);
            using (var disk = await OpenAsync())
            {
                await Parallel.ForEachAsync(slots.Concat(slots), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (slot, cancellationToken) =>
                {
                    if (slot == slots[0]) await Assert.ThrowsAsync<ChunkCorruptException>(() => disk.ReadChunkAsync(slot.Chunk, cancellationToken));
                    else await disk.ReadChunkAsync(slot.Chunk, cancellationToken);
                });
            }
            var aside = Assert.Single(Directory.GetFiles(_folder["store/quarantine"]));
            ThreeNodes.Flip(aside, slots[0].Offset + ShardFrame.HeaderBytes + 5);
            File.Move(aside, Path.Combine(_folder["store/shards"], Path.GetFileName(aside)));
        }
    }

    [Fact]
    public async Task A_flip_of_any_byte_of_a_frame_is_found_on_read()
    {
        await PutAsync(Bytes.Random(1, 20));
        var slot = Slots().First(slot => slot.PlainLength == 20);
        for (var at = 0; at < ShardFrame.HeaderBytes + slot.StoredLength; at++)
        {
            ThreeNodes.Flip(ShardFile, slot.Offset + at);
            using (var disk = await OpenAsync()) await Assert.ThrowsAsync<ChunkCorruptException>(() => disk.ReadChunkAsync(slot.Chunk));
            var aside = Assert.Single(Directory.GetFiles(_folder["store/quarantine"]));
            ThreeNodes.Flip(aside, slot.Offset + at);
            File.Move(aside, Path.Combine(_folder["store/shards"], Path.GetFileName(aside)));
        }
    }

    [Fact]
    public async Task What_was_set_aside_still_serves_its_whole_chunks_after_a_restart()
    {
        var content = Bytes.Random(1, 500_000);
        await PutAsync(content);
        var slots = Slots();
        ThreeNodes.Flip(ShardFile, slots[0].Offset + ShardFrame.HeaderBytes + 5);
        using (var disk = await OpenAsync()) Assert.Single(await disk.ScrubAsync());

        using var again = await OpenAsync();

        Assert.Empty(await again.ListShardsAsync());
        foreach (var slot in slots[1..]) Assert.Equal(slot.Chunk, Digest.Of((await again.ReadChunkAsync(slot.Chunk)).Span));
        await Assert.ThrowsAsync<ArtifactMissingException>(() => again.ReadChunkAsync(slots[0].Chunk));
    }

    [Fact]
    public async Task A_chunk_in_two_shards_is_read_from_the_other_when_one_is_damaged()
    {
        using var disk = await OpenAsync();
        var chunk = Bytes.Random(1, 5000);
        var (first, second) = (Pack(chunk, Bytes.Random(2, 100)), Pack(chunk, Bytes.Random(3, 100)));
        foreach (var (id, bytes) in new[] { first, second }) await disk.PutShardAsync(id, new MemoryStream(bytes), bytes.Length);

        foreach (var id in new[] { first.Id, second.Id })
        {
            ThreeNodes.Flip(Path.Combine(_folder["store/shards"], id.Hex + ".shard"), 100);
            if (id == first.Id)
            {
                Assert.Equal(chunk, (await disk.ReadChunkAsync(Digest.Of(chunk))).ToArray());
                Assert.Empty((await disk.FindMissingAsync([Digest.Of(chunk)])).Missing);
            }
        }
        await disk.ScrubAsync();
        await Assert.ThrowsAsync<ChunkCorruptException>(() => disk.ReadChunkAsync(Digest.Of(chunk)));
    }

    [Fact]
    public async Task A_shard_that_is_not_what_it_is_said_to_be_leaves_nothing_behind()
    {
        using var disk = await OpenAsync();
        var (id, bytes) = Pack(Bytes.Random(1, 5000));

        await Assert.ThrowsAsync<ShardInvalidException>(() => disk.PutShardAsync(Digest.Of("other"), new MemoryStream(bytes), bytes.Length));
        await Assert.ThrowsAsync<ShardInvalidException>(() => disk.PutShardAsync(id, new MemoryStream(bytes, 0, 100), bytes.Length));
        await Assert.ThrowsAsync<ShardInvalidException>(() => disk.PutShardAsync(id, new MemoryStream(bytes), long.MaxValue));

        Assert.Empty(Directory.GetFiles(disk.Root, "*.shard", SearchOption.AllDirectories));
        Assert.Empty(Directory.GetFiles(disk.TemporaryDirectory));
        Assert.Equal(new ShardReceipt(1, 1), await disk.PutShardAsync(id, new MemoryStream(bytes), bytes.Length));
    }

    [Fact]
    public async Task The_same_shard_put_many_times_at_once_is_kept_once()
    {
        using var disk = await OpenAsync();
        var (id, bytes) = Pack(Bytes.Random(1, 200_000));

        await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() => disk.PutShardAsync(id, new MemoryStream(bytes), bytes.Length))));

        Assert.Equal(new ShardInfo(id, bytes.Length), Assert.Single(await disk.ListShardsAsync()));
        Assert.Empty(Directory.GetFiles(disk.TemporaryDirectory));
        Assert.Equal(bytes, File.ReadAllBytes(ShardFile));
    }

    [Fact]
    public async Task A_directory_has_one_owner_at_a_time()
    {
        using (await OpenAsync())
        {
            Assert.Equal("AISLE-1012", (await Assert.ThrowsAsync<AisleException>(OpenAsync)).Code);
        }
        using var next = await OpenAsync();
    }

    [Fact]
    public async Task A_full_disk_is_a_clear_error_that_loses_nothing()
    {
        if (!OperatingSystem.IsLinux() || !TryMount(_folder["small"])) Assert.Skip("Needs the right to mount a small tmpfs.");
        try
        {
            using var disk = await DiskStore.OpenAsync(_folder["small/store"]);
            var artifacts = new ArtifactStore(disk);
            var put = await artifacts.PutBytesAsync("x", Bytes.Random(1, 500_000));

            var full = await Assert.ThrowsAsync<DiskFullException>(() => artifacts.PutBytesAsync("y", Bytes.Random(2, 900_000)));
            Assert.Contains("bytes needed", full.What);
            Assert.Contains("small", full.What);
            var target = await Assert.ThrowsAsync<DiskFullException>(() => artifacts.GetAsync(put.Digest, _folder["small/out"]).ContinueWith(_ => artifacts.GetAsync(put.Digest, _folder["small/out2"])).Unwrap());
            Assert.Equal("AISLE-1006", target.Code);

            Assert.Empty(Directory.GetFiles(disk.TemporaryDirectory));
            Assert.False(Directory.Exists(_folder["small/out2"]));
            Assert.Equal(Bytes.Random(1, 500_000), await ReadAsync(disk, put.Digest));
            if (Directory.Exists(_folder["small/out"])) Directory.Delete(_folder["small/out"], recursive: true);
            await artifacts.PutBytesAsync("z", Bytes.Random(3, 300_000)); // there is room for less
        }
        finally
        {
            Run("umount", _folder["small"]);
        }
    }

    [Fact]
    public async Task Reading_many_chunks_at_once_keeps_few_files_open()
    {
        var put = await PutAsync(Bytes.Random(1, 20_000_000));
        using var disk = await OpenAsync();
        var chunks = Slots().Select(slot => slot.Chunk).ToList();
        Assert.True(chunks.Count > 200);

        var most = 0;
        var reads = chunks.Select((chunk, i) => Task.Run(async () =>
        {
            await disk.ReadChunkAsync(chunk);
            if (OperatingSystem.IsLinux() && i % 20 == 0) most = Math.Max(most, Directory.GetFiles("/proc/self/fd").Count(path => new FileInfo(path).LinkTarget?.StartsWith(disk.Root, StringComparison.Ordinal) == true));
        }));
        await Task.WhenAll(reads);

        Assert.InRange(most, 0, 33); // 32 reads and the lock
        Assert.Equal(20_000_000, (await ReadAsync(disk, put)).Length);
    }

    private string ShardFile => Assert.Single(Directory.GetFiles(_folder["store/shards"]));

    private Task<DiskStore> OpenAsync() => DiskStore.OpenAsync(_folder["store"]);

    private async Task<Digest> PutAsync(byte[] content)
    {
        using var disk = await OpenAsync();
        return (await new ArtifactStore(disk).PutBytesAsync("x", content)).Digest;
    }

    private static async Task<byte[]> ReadAsync(DiskStore disk, Digest artifact) =>
        (await new ArtifactStore(disk).ReadEntryAsync(artifact, "x", int.MaxValue)).ToArray();

    private List<ShardSlot> Slots()
    {
        using var file = File.OpenHandle(ShardFile);
        return [.. ShardReader.ReadFooter(file, Digest.Parse(Path.GetFileNameWithoutExtension(ShardFile))).Slots.OrderBy(slot => slot.Offset)];
    }

    private static (Digest Id, byte[] Bytes) Pack(params byte[][] chunks)
    {
        var file = new MemoryStream();
        var writer = new ShardWriter(file);
        foreach (var chunk in chunks) writer.Add(Digest.Of(chunk), chunk);
        return (writer.Seal().Id, file.ToArray());
    }

    private static bool TryMount(string at)
    {
        Directory.CreateDirectory(at);
        return Environment.UserName == "root" && Run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", at);
    }

    private static bool Run(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
