using Aisle.Monitoring;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;
using CsCheck;

namespace Aisle.Training.Tests.Wire;

public sealed class FrameTests
{
    [Fact]
    public void Frames_come_out_as_they_went_in_however_the_bytes_are_cut() =>
        Gen.Select(Gen.Byte.Array[0, 5000].Array[1, 6], Gen.Int).Sample((bodies, seed) =>
        {
            var reader = new FrameReader(new ChoppyStream([.. bodies.SelectMany(body => Sealed(FrameKind.Reduced, body))], new Random(seed)));
            foreach (var expected in bodies)
            {
                Assert.True(reader.TryRead(out var kind, out var body));
                Assert.Equal(FrameKind.Reduced, kind);
                Assert.Equal(expected, body.ToArray());
            }
            Assert.False(reader.TryRead(out _, out _));
        });

    [Fact]
    public void A_damaged_stream_gives_whole_frames_and_then_a_refusal()
    {
        var bodies = Gen.Byte.Array[0, 300].Array[1, 5];
        Gen.Select(bodies, Gen.Int, Gen.Int[0, 3]).Sample((bodies, seed, damage) =>
        {
            var random = new Random(seed);
            var bytes = bodies.SelectMany(body => Sealed(FrameKind.Contribution, body)).ToList();
            switch (damage)
            {
                case 0:
                    bytes[random.Next(bytes.Count)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes.RemoveRange(random.Next(bytes.Count), 1);
                    break;
                case 2:
                    bytes.Insert(random.Next(bytes.Count), (byte)random.Next(256));
                    break;
                default:
                    var cut = random.Next(bytes.Count);
                    bytes.RemoveRange(cut, bytes.Count - cut);
                    break;
            }
            var reader = new FrameReader(new MemoryStream([.. bytes]));
            var taken = 0;
            try
            {
                while (reader.TryRead(out _, out var body)) Assert.Equal(bodies[taken++], body.ToArray());
                Assert.True(damage == 3, "the damage was not noticed");
            }
            catch (AisleException e)
            {
                Assert.Equal("AISLE-5131", e.Code);
            }
        });
    }

    [Fact]
    public void A_frame_that_claims_to_be_huge_is_refused_before_anything_is_set_aside()
    {
        var header = new byte[16];
        BitConverter.TryWriteBytes(header, int.MaxValue);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<AisleException>(() => new FrameReader(new MemoryStream(header)).TryRead(out _, out _));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 18);
    }

    [Fact]
    public void Data_frames_say_what_was_written_and_damaged_ones_are_refused_or_read()
    {
        Gen.Select(Gen.Long.Array[1, 600], Gen.Int[0, 4000], Gen.Int).Sample((values, slice, seed) =>
        {
            var body = new byte[ContributionFrame.MaxBodyBytes(values.Length)];
            var slices = SliceSet.Of([slice, slice + 1]);
            var length = ContributionFrame.WriteHead(body, 7, 3, new ShardNote(-5, true), slices, NumberForm.Packed, NumbersPlace.InFrame);
            length += PackedBlocks.Pack(values, body.AsSpan(length));
            var read = ContributionFrame.Parse(body.AsSpan(0, length));
            Assert.Equal((7, 3, new ShardNote(-5, true), slices), (read.Step, read.Shard, read.Note, SliceSet.FromWords(read.Slices)));
            Assert.True(read.Holds(values.Length));
            var sum = new long[values.Length];
            PackedBlocks.AddTo(sum, read.Numbers);
            Assert.Equal(values, sum);

            var place = new NumbersPlace(seed & int.MaxValue, seed);
            var placed = new byte[ContributionFrame.MaxHeadBytes];
            var head = ContributionFrame.WriteHead(placed, 7, 3, default, slices, NumberForm.Float32, place);
            Assert.Equal(place, ContributionFrame.Parse(placed.AsSpan(0, head)).Place);
            var reducedHead = ReducedFrame.WriteHead(placed, 7, 3, new ShardNote(9, false), place);
            Assert.Equal(place, ReducedFrame.Parse(placed.AsSpan(0, reducedHead)).Place);
            Assert.Equal(new ShardNote(9, false), ReducedFrame.Parse(placed.AsSpan(0, reducedHead)).Note);

            var random = new Random(seed);
            if (random.Next(2) == 0) length = ContributionFrame.WriteHead(body, 7, 3, default, slices, NumberForm.Float32, place);
            var damaged = body[..random.Next(length)];
            if (damaged.Length > 0) damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            foreach (var parse in (Action[])[() => ContributionFrame.Parse(damaged), () => ReducedFrame.Parse(damaged), () => StateFrame.Parse(damaged), () => StateAskedFrame.Parse(damaged)])
            {
                try
                {
                    parse();
                }
                catch (AisleException e)
                {
                    Assert.Equal("AISLE-5131", e.Code);
                }
            }
        });
    }

    [Fact]
    public void Control_messages_come_back_and_damaged_ones_are_refused_or_read()
    {
        var member = new Member(new MemberId(3), "w3", "127.0.0.1", 4000);
        ControlMessage[] messages =
        [
            new ControlMessage.Introduce("w", 1, new RunShape(Artifacts.Digest.Of("r"), 4, 5, 6, 7), 8, Artifacts.Digest.Of("c"), "class", new Returning(long.MaxValue, new MemberId(3), 5, 4, 11, 12, new StateReport(9, double.NaN, false, 1, 2)) { ShutOut = [new ShutOut("x", "h", "y", 3, 4)] }),
            new ControlMessage.Begin(new BeginOrder(8, new MemberId(4), 9, StateSource.Peer, 12, null) { ShutOut = [new ShutOut("x", "", "y", 3, null)] }),
            new ControlMessage.Reached(7, 4, new StateReport(ulong.MaxValue, double.NaN, true, 0.25, 1e-3), new StepTimes(1, 2, 3, 4, 5, 6)),
            new ControlMessage.Computed(7, 3),
            new ControlMessage.Leave(), new ControlMessage.Learning(7, 12),
            new ControlMessage.SliceHashed(1, 3, 4, UInt128.MaxValue - 5), new ControlMessage.OrderAudit(3, SliceSet.Range(2, 5)), new ControlMessage.SelfAccused(1, 3, "x"),
            new ControlMessage.OrderSave(new SaveOrder(5, true, false, [new MemberId(1)])),
            new ControlMessage.Plan(new StepPlan
            {
                Epoch = 2, Step = 9, Oldest = 6, Members = [member], Learners = [new Learner(member, [new MemberId(1), member.Id])],
                Units = [new Unit(1, SliceSet.Of([0, 1, 2, 9]), member.Id), new Unit(2, SliceSet.Of([3]), null)], ShardOwners = [member.Id],
            }),
        ];
        foreach (var message in messages) Assert.Equal(message.ToJson(), ControlMessage.Parse(message.ToJson()).ToJson());

        Gen.Select(Consts.Of(messages), Gen.Int).Sample((message, seed) =>
        {
            var random = new Random(seed);
            var bytes = message.ToJson().ToList();
            for (var i = random.Next(1, 4); i > 0; i--)
            {
                if (random.Next(2) == 0) bytes[random.Next(bytes.Count)] = (byte)random.Next(256);
                else bytes.RemoveRange(random.Next(bytes.Count - 1), 1);
            }
            try
            {
                ControlMessage.Parse([.. bytes]);
            }
            catch (AisleException e)
            {
                Assert.Equal("AISLE-5131", e.Code);
            }
        });
    }

    private static byte[] Sealed(FrameKind kind, byte[] body)
    {
        byte[] frame = [.. new byte[Frame.HeaderBytes], .. body];
        Frame.Seal(frame, kind);
        return frame;
    }

    /// <summary>Gives its bytes in pieces of any size, as a socket does.</summary>
    private sealed class ChoppyStream(byte[] bytes, Random random) : MemoryStream(bytes)
    {
        public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(buffer.Length, random.Next(1, 900))]);
    }
}
