using System.Text;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Tests.Log;

/// <summary>A snapshot goes to a peer in parts, resumes, and is the peer's only when it is whole.</summary>
public sealed class SnapshotTransfers
{
    private static readonly LogPosition At = new(3, 42);

    private static string Text(Stream from) => new StreamReader(from, Encoding.UTF8, leaveOpen: true).ReadToEnd();

    private static SimulatedDisk Sender(string state, int seed = 1)
    {
        var disk = new SimulatedDisk(seed);
        SnapshotFiles.Write(disk, At, "the members"u8, to => to.Write(Encoding.UTF8.GetBytes(state)));
        return disk;
    }

    [Fact]
    public void Parts_arrive_in_any_sizes_and_more_than_once_and_the_whole_is_what_was_sent()
    {
        for (var seed = 0; seed < 50; seed++)
        {
            var random = new Random(seed);
            var state = string.Concat(Enumerable.Range(0, random.Next(50_000)).Select(i => (char)('a' + i % 26)));
            var from = Sender(state, seed);
            var to = new SimulatedDisk(seed + 1000);
            using var source = SnapshotFiles.OpenSource(from, At.Index)!;
            from.Delete(SnapshotFiles.NameOf(At.Index));   // the sender makes a newer one meanwhile
            using (var receiver = SnapshotFiles.Receive(to, source.Position, source.FileBytes))
            {
                while (receiver.Offset < receiver.FileBytes)
                {
                    var offset = random.Next(3) == 0 ? random.NextInt64(receiver.FileBytes) : receiver.Offset;
                    var chunk = new byte[random.Next(1, 9000)];
                    var read = source.Read(offset, chunk);
                    Assert.Equal(offset == receiver.Offset, receiver.Take(offset, chunk.AsSpan(0, read)));
                }
                Assert.Empty(SnapshotFiles.List(to));
                Assert.True(receiver.Finish());
            }
            to.Restart();
            var found = SnapshotFiles.ReadNewest(to, Text, out var damaged)!;
            Assert.Empty(damaged);
            Assert.Equal((At, state, "the members"), (found.Position, found.State, Encoding.UTF8.GetString(found.Membership.Span)));
        }
    }

    [Fact]
    public void A_flipped_bit_on_the_way_leaves_what_was_there()
    {
        var from = Sender(new string('x', 5000));
        using var source = SnapshotFiles.OpenSource(from, At.Index)!;
        var whole = new byte[source.FileBytes];
        source.Read(0, whole);
        for (var at = 0; at < whole.Length; at += at < 100 ? 1 : 131)
        {
            var to = new SimulatedDisk(at);
            using var receiver = SnapshotFiles.Receive(to, source.Position, source.FileBytes);
            receiver.Take(0, Corruption.Flip(whole, at, 16));
            Assert.False(receiver.Finish());
            Assert.Empty(to.List());
        }
    }

    [Fact]
    public void A_power_cut_anywhere_while_receiving_leaves_all_or_nothing()
    {
        var from = Sender(new string('x', 3000));
        using var source = SnapshotFiles.OpenSource(from, At.Index)!;
        var cuts = 0;
        for (var after = 0; after < 12; after++)
        {
            for (var seed = 0; seed < 20; seed++)
            {
                var to = new SimulatedDisk(seed) { CutAfter = after };
                var finished = false;
                try
                {
                    using var receiver = SnapshotFiles.Receive(to, source.Position, source.FileBytes);
                    var chunk = new byte[700];
                    while (receiver.Offset < receiver.FileBytes) receiver.Take(receiver.Offset, chunk.AsSpan(0, source.Read(receiver.Offset, chunk)));
                    finished = receiver.Finish();
                }
                catch (PowerCutException)
                {
                    cuts++;
                }
                to.Restart();
                var found = SnapshotFiles.ReadNewest(to, Text, out var damaged);
                Assert.True(damaged.IsEmpty && (found is not null || !finished), $"seed {seed}, cut after {after}");
                Assert.DoesNotContain(to.List(), name => name.EndsWith(".part", StringComparison.Ordinal));
            }
        }
        Assert.True(cuts > 100, $"{cuts} cuts");
    }
}
