using System.Diagnostics;
using Aisle.Training.Exchange;
using CsCheck;

namespace Aisle.Training.Tests.Exchange;

public sealed class SharedArenaTests
{
    [Fact]
    public unsafe void What_is_written_here_is_read_there_until_the_buffer_is_used_again()
    {
        var arena = SharedArena.TryCreate(1 << 20)!;
        var pool = new BufferPool<float>(5000, arena);
        var buffer = pool.Rent();
        var (place, generation) = (buffer.Place, buffer.Generation);
        buffer.Span.Fill(2.5f);

        var seen = PeerArena.TryMap(arena.Offer)!;
        Assert.True(seen.IsStill(place, generation));
        Assert.All(new ReadOnlySpan<float>(seen.NumbersAt(place, 5000 * sizeof(float)), 5000).ToArray(), value => Assert.Equal(2.5f, value));
        buffer.Release();
        Assert.True(seen.IsStill(place, generation));
        Assert.Same(buffer, pool.Rent());
        Assert.False(seen.IsStill(place, generation));

        // A mapping outlives its owner, however that ended.
        buffer.Span.Fill(7);
        buffer.Release();
        arena.Release();
        Assert.Equal(7, *(float*)seen.NumbersAt(place, sizeof(float)));
        seen.Release();
    }

    [Fact]
    public void A_full_arena_gives_private_buffers()
    {
        var arena = SharedArena.TryCreate(20_000)!;
        var pool = new BufferPool<long>(1000, arena);
        Assert.NotEqual(SharedBuffer.Private, pool.Rent().Place);
        Assert.NotEqual(SharedBuffer.Private, pool.Rent().Place);
        var beyond = pool.Rent();
        Assert.Equal(SharedBuffer.Private, beyond.Place);
        beyond.Span.Fill(3);
    }

    [Fact]
    public void An_offer_that_does_not_lead_to_the_arena_is_not_mapped()
    {
        var arena = SharedArena.TryCreate(1 << 16)!;
        var offer = arena.Offer;
        using var file = File.OpenHandle(Path.GetTempFileName(), options: FileOptions.DeleteOnClose, access: FileAccess.ReadWrite);
        var unsealed = Libc.CreateMemory("test", Libc.MemoryCloseOnExec | Libc.MemoryMaySeal);
        Assert.Equal(0, Libc.SetLength(unsealed, offer.Bytes));
        foreach (var wrong in (ArenaOffer[])
                 [
                     offer with { Proof = offer.Proof + 1 }, offer with { Bytes = offer.Bytes + 4096 }, offer with { Bytes = long.MaxValue }, offer with { Bytes = -1 },
                     offer with { Process = int.MaxValue }, offer with { Process = -1 }, offer with { Descriptor = 1 << 20 }, offer with { Descriptor = 0 },
                     offer with { Descriptor = (int)file.DangerousGetHandle() }, offer with { Descriptor = unsealed },
                 ])
        {
            Assert.Null(PeerArena.TryMap(wrong));
        }
        var right = PeerArena.TryMap(offer);
        Assert.NotNull(right);
        right.Release();
        arena.Release();
        Assert.Equal(0, Libc.Close(unsealed));
    }

    [Fact]
    public unsafe void A_place_that_is_not_whole_inside_the_arena_is_refused()
    {
        var arena = SharedArena.TryCreate(1 << 16)!;
        var seen = PeerArena.TryMap(arena.Offer)!;
        var start = seen.NumbersAt(0, 0) - SharedArena.BufferHeadBytes;
        var anything = Gen.OneOf(Gen.Long, Gen.Long[0, 1 << 17], Gen.Long[0, 1 << 11].Select(line => line * 64), Consts.Of(0L, long.MinValue, long.MaxValue, -64L, arena.Offer.Bytes));
        Gen.Select(anything, Gen.Long[0, 1 << 17]).Sample((place, bytes) =>
        {
            try
            {
                var numbers = seen.NumbersAt(place, bytes);
                Assert.True(numbers >= start && numbers + bytes <= start + arena.Offer.Bytes, $"{bytes} bytes at {place} lie outside.");
            }
            catch (AisleException e)
            {
                Assert.Equal("AISLE-5140", e.Code);
            }
        });
        seen.Release();
        arena.Release();
    }

    [Fact]
    public async Task Nothing_is_mapped_or_open_any_more_when_exchanges_are_gone()
    {
        GradientExchange[] exchanges = [.. Enumerable.Range(0, 2).Select(rank => new GradientExchange(rank, 2, 50_000, [1]))];
        foreach (var exchange in exchanges) exchange.Connect([.. exchanges.Select(one => one.EndPoint)]);
        await Task.WhenAll(exchanges.Select(exchange => Task.Factory.StartNew(() => exchange.AllReduce().Length, TaskCreationOptions.LongRunning))).WaitAsync(TimeSpan.FromSeconds(30));
        string[] inodes = [.. exchanges.Select(exchange => InodeOf(exchange.Arena!.Value.Descriptor))];
        Assert.All(inodes, inode => Assert.Equal(2, Mappings(inode))); // its owner's, and the other rank's
        foreach (var exchange in exchanges) exchange.Dispose();
        // Threads of connections let go when they see the end.
        var patience = Stopwatch.StartNew();
        while (inodes.Sum(Mappings) > 0 && patience.Elapsed < TimeSpan.FromSeconds(20)) await Task.Yield();
        Assert.All(inodes, inode => Assert.Equal(0, Mappings(inode)));
        Assert.DoesNotContain(Directory.EnumerateFiles("/dev/shm"), file => file.Contains("aisle", StringComparison.Ordinal));

        static string InodeOf(int descriptor) => File.ReadLines($"/proc/self/fdinfo/{descriptor}").Single(line => line.StartsWith("ino:", StringComparison.Ordinal))[4..].Trim();
        static int Mappings(string inode) => File.ReadLines("/proc/self/maps").Count(line => line.Contains("aisle-exchange", StringComparison.Ordinal) && line.Contains($" {inode} ", StringComparison.Ordinal));
    }
}
