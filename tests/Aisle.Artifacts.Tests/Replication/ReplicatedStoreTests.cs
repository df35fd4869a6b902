namespace Aisle.Artifacts.Tests;

public sealed class ReplicatedStoreTests
{
    [Fact]
    public async Task A_put_is_on_all_three_nodes_when_it_returns()
    {
        await using var nodes = await ThreeNodes.StartAsync();

        var put = await nodes.Artifacts(0).PutAsync(nodes.SomeFiles());

        Assert.Equal((3, 3), (put.Copies, put.Wanted));
        foreach (var disk in nodes.Disks) await ReadsBackAsync(nodes, disk, put.Digest);
    }

    [Fact]
    public async Task Any_flipped_byte_in_a_shard_is_found_on_read_served_from_another_node_and_repaired()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        var put = await nodes.Artifacts(0).PutAsync(nodes.SomeFiles());
        var shard = nodes.ShardFile(0);
        var frames = new FileInfo(shard).Length / 2;

        ThreeNodes.Flip(shard, frames);
        await ReadsBackAsync(nodes, nodes.Stores[0], put.Digest);
        await nodes.Stores[0].MendedAsync();

        Assert.True(nodes.Stores[0].Counters.CorruptionsFound >= 1);
        Assert.Equal(1, nodes.Stores[0].Counters.Repaired);
        Assert.True(nodes.Stores[0].Counters.ServedFromReplica >= 1);
        await ReadsBackAsync(nodes, nodes.Disks[0], put.Digest); // the local disk alone has everything again
        Assert.Empty(Directory.GetFiles(Path.Combine(nodes.Disks[0].Root, "quarantine")));
    }

    [Fact]
    public async Task With_one_nodes_directory_deleted_everything_is_readable_and_a_repair_round_brings_it_back()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        var put = await nodes.Artifacts(0).PutAsync(nodes.SomeFiles());

        Directory.Delete(nodes.Disks[1].Root, recursive: true);

        for (var node = 0; node < 3; node++) await ReadsBackAsync(nodes, nodes.Stores[node], put.Digest);
        var report = await nodes.Stores[1].RepairAsync();
        Assert.Equal((1, 1, 0), (report.Expected, report.Copied, report.Failed));
        await ReadsBackAsync(nodes, nodes.Disks[1], put.Digest);
        Assert.Equal(0, (await nodes.Stores[1].RepairAsync()).Copied);
    }

    [Fact]
    public async Task A_lost_or_shortened_shard_that_nobody_read_is_found_by_inventory()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        var put = await nodes.Artifacts(0).PutAsync(nodes.SomeFiles());
        File.Delete(nodes.ShardFile(0));
        using (var file = File.OpenWrite(nodes.ShardFile(1))) file.SetLength(file.Length - 1);

        Assert.Equal(1, (await nodes.Stores[0].RepairAsync()).Copied);
        Assert.Equal(1, (await nodes.Stores[1].RepairAsync()).Copied);

        foreach (var disk in nodes.Disks) await ReadsBackAsync(nodes, disk, put.Digest);
    }

    [Fact]
    public async Task A_put_does_not_count_on_shards_that_were_lost_behind_the_stores_back()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        await nodes.Artifacts(0).PutAsync(nodes.SomeFiles());
        Directory.Delete(nodes.Disks[1].Root, recursive: true);

        var put = await nodes.Artifacts(0).PutAsync(nodes.SomeFiles());

        Assert.Equal((3, 3), (put.Copies, put.Wanted));
        await ReadsBackAsync(nodes, nodes.Disks[1], put.Digest);
    }

    [Fact]
    public async Task A_shard_damaged_on_the_way_or_at_its_source_is_not_taken_over()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        var put = await nodes.Artifacts(0).PutAsync(nodes.SomeFiles());
        File.Delete(nodes.ShardFile(0));
        ThreeNodes.Flip(nodes.ShardFile(1), 5000);

        var report = await nodes.Stores[0].RepairAsync(); // node 1's copy has the right length; only its bytes are wrong

        Assert.Equal((1, 0), (report.Copied, report.Failed));
        await ReadsBackAsync(nodes, nodes.Disks[0], put.Digest);

        File.Delete(nodes.ShardFile(0));
        ThreeNodes.Flip(nodes.ShardFile(2), 5000);
        report = await nodes.Stores[0].RepairAsync();
        Assert.Equal((0, 1), (report.Copied, report.Failed));
        Assert.Contains("AISLE-1002", report.FirstFailure);
    }

    [Fact]
    public async Task A_failing_node_is_put_around_with_two_of_three_copies_and_repaired_later()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        nodes.Links[2].Broken = true;

        var put = await nodes.Artifacts(0).PutAsync(nodes.SomeFiles());
        Assert.Equal((2, 3), (put.Copies, put.Wanted));

        nodes.Links[2].Broken = false;
        Assert.Equal(1, (await nodes.Stores[2].RepairAsync()).Copied);
        await ReadsBackAsync(nodes, nodes.Disks[2], put.Digest);
    }

    [Fact]
    public async Task Where_copies_are_fewer_than_nodes_the_next_node_steps_in_for_a_failing_one()
    {
        await using var nodes = await ThreeNodes.StartAsync(new ReplicationOptions { Copies = 2, Durability = Durability.Strict });
        foreach (var broken in Enumerable.Range(0, 3))
        {
            foreach (var link in nodes.Links) link.Broken = link == nodes.Links[broken];
            var put = await nodes.Artifacts((broken + 1) % 3).PutBytesAsync("x", Bytes.Random(broken, 100_000));
            Assert.Equal((2, 2), (put.Copies, put.Wanted));
        }
    }

    [Fact]
    public async Task One_copy_of_three_is_never_acknowledged()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        nodes.Links[1].Broken = nodes.Links[2].Broken = true;

        var refusal = await Assert.ThrowsAsync<TooFewCopiesException>(() => nodes.Artifacts(0).PutBytesAsync("x", Bytes.Random(1, 1000)));

        Assert.Equal((1, 2), (refusal.Copies, refusal.Required));
    }

    [Fact]
    public async Task One_copy_is_enough_where_there_is_one_node()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        await using var alone = new ReplicatedStore(new StoreNode("a", nodes.Disks[0]), () => [], new ReplicationOptions(), nodes.Disks[0].TemporaryDirectory, TimeProvider.System);

        var put = await new ArtifactStore(alone).PutBytesAsync("x", Bytes.Random(1, 1000));

        Assert.Equal((1, 1), (put.Copies, put.Wanted));
    }

    [Fact]
    public async Task A_node_that_has_not_heard_of_the_others_yet_does_not_acknowledge_alone()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        var options = new ReplicationOptions { ExpectedNodes = 3 };
        await using var early = new ReplicatedStore(new StoreNode("a", nodes.Disks[0]), () => [], options, nodes.Disks[0].TemporaryDirectory, TimeProvider.System);

        await Assert.ThrowsAsync<TooFewCopiesException>(() => new ArtifactStore(early).PutBytesAsync("x", Bytes.Random(1, 1000)));
    }

    [Fact]
    public async Task A_put_that_reuses_what_a_half_failed_put_left_on_one_node_sends_it_again()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        var content = Bytes.Random(7, 300_000);
        nodes.Links[1].Broken = nodes.Links[2].Broken = true;
        await Assert.ThrowsAsync<TooFewCopiesException>(() => nodes.Artifacts(0).PutBytesAsync("x", content));
        nodes.Links[1].Broken = nodes.Links[2].Broken = false;

        var put = await nodes.Artifacts(0).PutBytesAsync("x", content);

        Assert.Equal((3, 3), (put.Copies, put.Wanted));
        foreach (var disk in nodes.Disks) Assert.Equal(content, (await new ArtifactStore(disk).ReadEntryAsync(put.Digest, "x")).ToArray());
    }

    [Fact]
    public async Task A_put_of_known_content_tells_how_many_copies_there_are()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        var files = nodes.SomeFiles();
        await nodes.Artifacts(0).PutAsync(files);
        Assert.Equal((3, 0L), await PutAgain());

        nodes.Links[2].Broken = true;
        Assert.Equal((2, 0L), await PutAgain());

        async Task<(int, long)> PutAgain()
        {
            var put = await nodes.Artifacts(1).PutAsync(files);
            return (put.Copies, put.StoredBytes);
        }
    }

    [Fact]
    public async Task A_node_that_never_answers_does_not_hold_up_a_put_that_has_its_copies()
    {
        await using var nodes = await ThreeNodes.StartAsync(new ReplicationOptions { AnswerWithin = TimeSpan.FromMilliseconds(200) });
        nodes.Links[2].Silent = true;

        var put = await nodes.Artifacts(0).PutBytesAsync("x", Bytes.Random(1, 1000));

        Assert.Equal((2, 3), (put.Copies, put.Wanted));
    }

    [Fact]
    public async Task A_peer_that_sends_other_bytes_is_not_believed()
    {
        await using var nodes = await ThreeNodes.StartAsync();
        var put = await nodes.Artifacts(0).PutBytesAsync("x", Bytes.Random(1, 1000));
        Directory.Delete(nodes.Disks[0].Root, recursive: true);
        nodes.Links[1].Lying = nodes.Links[2].Lying = true;

        var refusal = await Assert.ThrowsAsync<ChunkCorruptException>(() => nodes.Artifacts(0).OpenAsync(put.Digest));

        Assert.Equal(put.Digest, refusal.Chunk);
        nodes.Links[2].Lying = false;
        await nodes.Artifacts(0).OpenAsync(put.Digest);
    }

    [Fact]
    public void Nodes_share_shards_evenly_and_a_new_node_moves_only_its_own_share()
    {
        string[] four = ["a", "b", "c", "d"], five = [.. four, "e"];
        var load = five.ToDictionary(node => node, _ => 0);
        for (var i = 0; i < 2000; i++)
        {
            var shard = Digest.Of($"shard {i}");
            var before = Placement.Rank(shard, four, node => node).Take(3).ToHashSet();
            var after = Placement.Rank(shard, five, node => node).Take(3).ToHashSet();
            Assert.True(after.Except(before).All(node => node == "e"));
            foreach (var node in after) load[node]++;
        }
        Assert.All(load.Values, count => Assert.InRange(count, 1080, 1320));
    }

    private static async Task ReadsBackAsync(ThreeNodes nodes, IContentStore from, Digest digest)
    {
        var target = nodes.Folder["out-" + Path.GetRandomFileName()];
        await new ArtifactStore(from).GetAsync(digest, target);
        var (sent, back) = (Folder.Read(nodes.SomeFiles()), Folder.Read(target));
        Assert.Equal(sent.Keys, back.Keys);
        foreach (var (path, content) in sent) Assert.True(content.AsSpan().SequenceEqual(back[path]), path);
    }
}
