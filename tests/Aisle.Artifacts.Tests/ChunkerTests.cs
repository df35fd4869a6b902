using CsCheck;

namespace Aisle.Artifacts.Tests;

public sealed class ChunkerTests
{
    [Fact]
    public void Cuts_of_fixed_content_never_move()
    {
        // A change here is a new profile with a new version byte, never an edit of these numbers.
        var content = Bytes.Lcg(1_000_000);
        Assert.Equal("78830 75314 112013 67329 77548 153270 83571 79631 110601 67020 83685 11188", string.Join(' ', Lengths(content)));
    }

    [Fact]
    public void Chunks_are_within_bounds_average_64_KiB_and_add_up()
    {
        var content = Bytes.Random(1, 32 * 1024 * 1024);
        var lengths = Lengths(content);
        Assert.All(lengths.SkipLast(1), length => Assert.InRange(length, Chunker.MinBytes, Chunker.MaxBytes));
        Assert.InRange(lengths.Average(), 56 * 1024, 80 * 1024);
        Assert.Equal(content.Length, lengths.Sum());
    }

    [Fact]
    public void A_stream_is_cut_the_same_however_it_arrives() =>
        Gen.Select(Gen.Int[0, 1_500_000], Gen.Int[0, 1000]).Sample(async (length, seed) =>
        {
            var content = Bytes.Random(seed, length);
            var chunks = new List<int>();
            var joined = new MemoryStream();
            await foreach (var chunk in new Chunker().SplitAsync(new Trickle(content, seed)))
            {
                chunks.Add(chunk.Length);
                joined.Write(chunk.Span);
            }
            Assert.Equal(Lengths(content), chunks);
            Assert.Equal(content, joined.ToArray());
        }, iter: 20, threads: 1);

    [Fact]
    public void An_insertion_leaves_every_chunk_before_it_as_it_was() =>
        Gen.Select(Gen.Int[0, 999_999], Gen.Int[1, 5000], Gen.Int[0, 1000]).Sample((at, inserted, seed) =>
        {
            var (before, after) = (Lengths(Bytes.Random(seed, 1_000_000)), Lengths(Inserted(at, inserted, seed, 1_000_000)));
            var (end, untouched) = (0, 0);
            while (untouched < before.Count && (end += before[untouched]) <= at) untouched++;
            Assert.Equal(before[..untouched], after[..untouched]);
        }, iter: 20, threads: 1);

    // How soon the cuts meet again is a matter of chance, a few chunks as a rule and now and then ten: so the seeds are fixed and the median counts.
    [Fact]
    public void After_an_insertion_the_cuts_meet_again_within_a_few_chunks()
    {
        var fresh = Enumerable.Range(1, 15)
            .Select(seed => Digests(Inserted(seed * 200_000, seed * 333, seed, 4_000_000)).Except(Digests(Bytes.Random(seed, 4_000_000))).Count()).Order().ToList();
        Assert.InRange(fresh[fresh.Count / 2], 1, 4);
    }

    private static byte[] Inserted(int at, int count, int seed, int length)
    {
        var content = Bytes.Random(seed, length);
        return [.. content[..at], .. Bytes.Random(seed + 1, count), .. content[at..]];
    }

    [Fact]
    public void Content_without_any_variety_is_cut_too()
    {
        var lengths = Lengths(new byte[3_000_000]);
        Assert.Equal(3_000_000, lengths.Sum());
        Assert.All(lengths, length => Assert.InRange(length, 1, Chunker.MaxBytes));
    }

    private static List<int> Lengths(byte[] content)
    {
        var lengths = new List<int>();
        for (var at = 0; at < content.Length; at += lengths[^1]) lengths.Add(Chunker.CutLength(content.AsSpan(at)));
        return lengths;
    }

    private static HashSet<Digest> Digests(byte[] content)
    {
        var at = 0;
        var digests = new HashSet<Digest>();
        foreach (var length in Lengths(content))
        {
            digests.Add(Digest.Of(content.AsSpan(at, length)));
            at += length;
        }
        return digests;
    }

    /// <summary>Gives a few bytes at a time, as a network does.</summary>
    private sealed class Trickle(byte[] content, int seed) : MemoryStream(content)
    {
        private readonly Random _random = new(seed);

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(buffer.Length, _random.Next(1, 70_000))], cancellationToken);
    }
}
