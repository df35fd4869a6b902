using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Tests.Exchange;

/// <summary>Rank 0 is ours; rank 1 is played by the test, which knows the secret and says what it likes.</summary>
public sealed class FaultyPeerTests
{
    private const int Elements = 512; // two shards: rank 0 owns the first, rank 1 the second
    private static readonly byte[] s_secret = [9, 8, 7];

    [Fact]
    public async Task Numbers_that_were_overwritten_before_they_were_read_count_as_never_sent()
    {
        using var rank = new Played();
        var sum = rank.Start();
        using (var connection = rank.Dial(isShared: true))
        {
            connection.Send(FrameKind.Contribution, rank.Contribution(generation: rank.Buffer.Generation - 1));
            Assert.True(rank.IsClosed(connection)); // what may have been turned down for it must be sent again
        }
        using var again = rank.Dial(isShared: true);
        again.Send(FrameKind.Reduced, rank.Reduced(generation: rank.Buffer.Generation - 1));
        again.Send(FrameKind.Contribution, rank.Contribution(rank.Buffer.Generation));
        again.Send(FrameKind.Reduced, rank.Reduced(rank.Buffer.Generation));
        Assert.Equal(rank.Expected, await sum.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Theory]
    [InlineData(-64)]
    [InlineData(1)]
    [InlineData(1L << 40)]
    [InlineData(long.MaxValue - 63)]
    public async Task A_place_outside_the_peers_memory_ends_the_connection_and_nothing_else(long place)
    {
        using var rank = new Played();
        var sum = rank.Start();
        foreach (var isReduced in (bool[])[false, true])
        {
            using var connection = rank.Dial(isShared: true);
            connection.Send(
                isReduced ? FrameKind.Reduced : FrameKind.Contribution,
                isReduced ? rank.Reduced(rank.Buffer.Generation, place) : rank.Contribution(rank.Buffer.Generation, place));
            Assert.True(rank.IsClosed(connection));
        }
        using var again = rank.Dial(isShared: true);
        again.Send(FrameKind.Contribution, rank.Contribution(rank.Buffer.Generation));
        again.Send(FrameKind.Reduced, rank.Reduced(rank.Buffer.Generation));
        Assert.Equal(rank.Expected, await sum.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task A_place_without_shared_memory_is_refused_and_the_bytes_are_taken()
    {
        using var rank = new Played();
        var sum = rank.Start();
        using (var connection = rank.Dial(isShared: false))
        {
            connection.Send(FrameKind.Contribution, rank.Contribution(rank.Buffer.Generation));
            Assert.True(rank.IsClosed(connection));
        }
        using var again = rank.Dial(isShared: false);
        again.Send(FrameKind.Contribution, rank.ContributionInFrame());
        again.Send(FrameKind.Reduced, rank.ReducedInFrame());
        Assert.Equal(rank.Expected, await sum.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task A_frame_torn_off_in_the_middle_adds_nothing()
    {
        using var rank = new Played();
        var sum = rank.Start();
        var body = rank.ContributionInFrame();
        byte[] frame = [.. new byte[Frame.HeaderBytes], .. body];
        Frame.Seal(frame, FrameKind.Contribution);
        foreach (var cut in (int[])[1, Frame.HeaderBytes, Frame.HeaderBytes + 40, frame.Length - 1])
        {
            using var torn = rank.Dial(isShared: false);
            rank.SendRaw(torn, frame.AsSpan(0, cut));
        }
        using var again = rank.Dial(isShared: false);
        again.Send(FrameKind.Contribution, body);
        again.Send(FrameKind.Reduced, rank.ReducedInFrame());
        Assert.Equal(rank.Expected, await sum.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    private sealed class Played : IDisposable
    {
        private readonly GradientExchange _exchange = new(0, 2, Elements, s_secret);
        private readonly SharedArena _arena = SharedArena.TryCreate(1 << 20)!;
        private readonly PeerListener _listener;
        private readonly float[] _ours = [.. Enumerable.Range(0, Elements).Select(i => i / 8f)];
        private readonly float[] _theirs = [.. Enumerable.Range(0, Elements).Select(i => 100 - i / 4f)];

        public Played()
        {
            _listener = new PeerListener(IPAddress.Loopback, 0, s_secret, ExchangeTransport.Automatic, (_, _, _) => { }, _ => { });
            Buffer = new BufferPool<float>(Elements, _arena).Rent();
            // The first half is a contribution to rank 0's shard, the second what rank 1 made of its own.
            _theirs.AsSpan(0, 256).CopyTo(Buffer.Span);
            Expected.AsSpan(256).CopyTo(Buffer.Span[256..]);
            _exchange.Connect([_exchange.EndPoint, _listener.EndPoint]);
            _ours.CopyTo(_exchange.Values);
        }

        public SharedBuffer<float> Buffer { get; }

        public float[] Expected => [.. _ours.Zip(_theirs, (one, other) => one + other)];

        public Task<float[]> Start() => Task.Factory.StartNew(() => _exchange.AllReduce().ToArray(), TaskCreationOptions.LongRunning);

        public Connection Dial(bool isShared)
        {
            var connection = Connection.Dial(_exchange.EndPoint, s_secret);
            connection.Send(FrameKind.PeerHello, new PeerHello(Term: 0, From: new MemberId(1), To: new MemberId(0), isShared ? _arena.Offer : null).ToBytes());
            connection.ReceiveWithin(TimeSpan.FromSeconds(20));
            Assert.True(connection.TryReceive(out var kind, out var body));
            Assert.Equal((FrameKind.PeerReady, isShared ? 1 : 0), (kind, body[0]));
            return connection;
        }

        public bool IsClosed(Connection connection)
        {
            try
            {
                return !connection.TryReceive(out _, out _);
            }
            catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
            {
                return true;
            }
        }

        public void SendRaw(Connection connection, ReadOnlySpan<byte> bytes)
        {
            using var out_ = new GatheredSend();
            unsafe
            {
                fixed (byte* at = bytes)
                {
                    out_.Add(at, bytes.Length);
                    Assert.True(out_.TrySend(connection.Handle, mayWait: true));
                }
            }
        }

        public byte[] Contribution(long generation, long? place = null)
        {
            var body = new byte[ContributionFrame.MaxHeadBytes];
            return body[..ContributionFrame.WriteHead(body, 0, 0, default, SliceSet.Of([1]), NumberForm.Float32, Place(place ?? Buffer.Place, generation))];
        }

        public byte[] Reduced(long generation, long? place = null)
        {
            var body = new byte[ReducedFrame.MaxHeadBytes];
            return body[..ReducedFrame.WriteHead(body, 0, 1, default, Place(place ?? Buffer.Place, generation))];
        }

        public byte[] ContributionInFrame()
        {
            var body = new byte[ContributionFrame.MaxHeadBytes];
            var head = ContributionFrame.WriteHead(body, 0, 0, default, SliceSet.Of([1]), NumberForm.Float32, NumbersPlace.InFrame);
            return [.. body[..head], .. MemoryMarshal.AsBytes(_theirs.AsSpan(0, 256))];
        }

        public byte[] ReducedInFrame()
        {
            var body = new byte[ReducedFrame.MaxHeadBytes];
            var head = ReducedFrame.WriteHead(body, 0, 1, default, NumbersPlace.InFrame);
            return [.. body[..head], .. MemoryMarshal.AsBytes(Expected.AsSpan(256))];
        }

        public void Dispose()
        {
            _exchange.Dispose();
            _listener.Dispose();
            Buffer.Release();
            _arena.Release();
        }

        // A negative place is written as it is: only the reader may judge it.
        private static NumbersPlace Place(long place, long generation) => new(place, generation);
    }
}
