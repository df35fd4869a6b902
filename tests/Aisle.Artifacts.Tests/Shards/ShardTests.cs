using CsCheck;

namespace Aisle.Artifacts.Tests;

public sealed class ShardTests
{
    [Fact]
    public async Task A_sealed_shard_verifies_and_has_the_id_it_was_given()
    {
        var (shard, info) = Make(5);
        Assert.Equal(shard.Length, info.LengthBytes);
        var copy = new MemoryStream();

        var table = await ShardReader.VerifyAsync(new MemoryStream(shard), shard.Length, copy);

        Assert.Equal(info.Id, table.Id);
        Assert.Equal(5, table.Slots.Length);
        Assert.Equal(shard, copy.ToArray());
    }

    [Fact]
    public void A_shards_bytes_never_change_their_meaning()
    {
        // This file format is on users' disks: a change of these digests is a new version, never an edit.
        var (shard, info) = Make(3);
        Assert.Equal("sha256:6086489063cb80e9b4658ecf28e480bc6fae5234038b1b77000fb5dc301d8731", info.Id.ToString());
        Assert.Equal("sha256:2674581b71f2e048d4319e54c5f0745baa19adfb6a334637894c29295f509aa6", Digest.Of(shard).ToString());
    }

    [Fact]
    public async Task A_flip_of_any_byte_of_a_shard_is_found()
    {
        var (shard, _) = Make(2, most: 40);
        for (var at = 0; at < shard.Length; at++)
        {
            byte[] flipped = [.. shard];
            flipped[at] ^= 0x01;
            await Assert.ThrowsAsync<ShardInvalidException>(() => ShardReader.VerifyAsync(new MemoryStream(flipped), flipped.Length));
        }
    }

    [Fact]
    public async Task A_chunk_under_a_false_digest_is_refused_though_every_checksum_is_right()
    {
        var file = new MemoryStream();
        var writer = new ShardWriter(file);
        writer.Add(Digest.Of("what it claims to be"), "what it is"u8);
        writer.Seal();
        file.Position = 0;
        Assert.Contains("not what its digest says", (await Assert.ThrowsAsync<ShardInvalidException>(() => ShardReader.VerifyAsync(file, file.Length))).Message);
    }

    [Fact]
    public async Task Any_damage_to_a_shard_is_refused_with_a_clear_error() => await Gen.Int[0, int.MaxValue - 1].SampleAsync(async seed =>
    {
        var (shard, info) = Make(1 + seed % 5, most: 2000);
        var damaged = Bytes.Damage(shard, seed);
        if (damaged.AsSpan().SequenceEqual(shard)) return;
        await Assert.ThrowsAsync<ShardInvalidException>(() => ShardReader.VerifyAsync(new MemoryStream(damaged), damaged.Length));
        // The length is what the sender says, which need not be true.
        await Assert.ThrowsAsync<ShardInvalidException>(() => ShardReader.VerifyAsync(new MemoryStream(damaged), shard.Length + (seed % 3 - 1) * 1000));

        using var folder = new Folder();
        File.WriteAllBytes(folder["s"], damaged);
        using var file = File.OpenHandle(folder["s"]);
        try
        {
            Assert.Equal(info.Id, ShardReader.ReadFooter(file, info.Id).Id); // footer whole: the damage lies in a frame
        }
        catch (ShardInvalidException)
        {
        }
    }, iter: 500, threads: 1);

    [Fact]
    public void A_table_that_was_never_a_table_is_refused() => Gen.Select(Gen.Byte.Array[0, 300], Gen.Int[0, int.MaxValue - 1]).Sample((noise, seed) =>
    {
        var (shard, _) = Make(4, most: 100);
        var encoded = Bytes.Damage(ShardReaderTable(shard), seed);
        foreach (var bytes in new[] { noise, encoded })
        {
            try
            {
                ShardTable.Parse(bytes, shard.Length);
            }
            catch (ShardInvalidException)
            {
            }
        }
    }, iter: 1000, threads: 1);

    [Fact]
    public void A_scan_finds_every_whole_frame_whatever_lies_between() => Gen.Int[0, int.MaxValue - 1].Sample(seed =>
    {
        var (shard, _) = Make(6, most: 3000);
        var damaged = Bytes.Damage(shard, seed);

        var found = ShardReader.Scan(damaged);

        Assert.InRange(found.Count, damaged.Length < shard.Length ? 0 : 4, 6); // one accident of at most 100 bytes touches two frames
        foreach (var slot in found) Assert.Equal(slot.Chunk, Digest.Of(damaged.AsSpan(slot.Offset + ShardFrame.HeaderBytes, slot.PlainLength)));
    }, iter: 300, threads: 1);

    [Fact]
    public void A_full_shard_says_so()
    {
        var writer = new ShardWriter(Stream.Null);
        var chunk = new byte[Chunker.MaxBytes];
        while (writer.HasRoomFor(chunk.Length))
        {
            BitConverter.TryWriteBytes(chunk, writer.Frames);
            writer.Add(Digest.Of($"{writer.Frames}"), chunk);
        }
        Assert.Throws<InvalidOperationException>(() => writer.Add(default, chunk));
        Assert.InRange(writer.Seal().LengthBytes, ShardWriter.MaxFrameBytes - Chunker.MaxBytes, ShardWriter.MaxFileBytes);
    }

    [Fact]
    public void Crc32C_gives_the_published_values()
    {
        Assert.Equal(0xE3069283u, Crc32C.Of("123456789"u8));
        Assert.Equal(0x8A9136AAu, Crc32C.Of(new byte[32])); // RFC 3720, B.4
    }

    private static (byte[] Shard, ShardInfo Info) Make(int chunks, int most = 50_000)
    {
        var file = new MemoryStream();
        var writer = new ShardWriter(file);
        for (var i = 0; i < chunks; i++)
        {
            var content = Bytes.Lcg(1 + (i + 1) * 7919 % most);
            writer.Add(Digest.Of(content), content);
        }
        var info = writer.Seal();
        return (file.ToArray(), info);
    }

    private static byte[] ShardReaderTable(byte[] shard)
    {
        var length = ShardTable.ReadTrailer(shard.AsSpan(shard.Length - ShardTable.TrailerBytes), shard.Length);
        return shard[^(length + ShardTable.TrailerBytes)..^ShardTable.TrailerBytes];
    }
}
