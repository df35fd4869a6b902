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
    public void An_insertion_changes_only_the_chunks_around_it() =>
        Gen.Select(Gen.Int[0, 3_999_999], Gen.Int[1, 5000], Gen.Int[0, 1000]).Sample((at, inserted, seed) =>
        {
            var content = Bytes.Random(seed, 4_000_000);
            byte[] changed = [.. content[..at], .. Bytes.Random(seed + 1, inserted), .. content[at..]];
            var before = Digests(content);
            var fresh = Digests(changed).Except(before).Count();
            Assert.InRange(fresh, 1, 8);
        }, iter: 10, threads: 1);

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
