using System.Net;
using System.Runtime.InteropServices;
using Aisle.Training.Exchange;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Tests.Exchange;

/// <summary>Many senders at once, and a receiver that takes nothing in.</summary>
public sealed class WindowTests(ITestOutputHelper output)
{
    private const int Senders = 16, Frames = 48, BodyBytes = 256 << 10; // twelve MiB each: more than its own socket and any grant hold
    private const int ReaderBytes = BodyBytes + (64 << 10); // a reader holds the frame that is being taken in, and a little of the next
    private const int BytesNotYetTaken = 0x5411; // TIOCOUTQ
    private static readonly byte[] s_secret = [5, 6];

    [Fact]
    public async Task A_slow_receiver_makes_senders_wait_and_holds_no_more_than_its_window()
    {
        using var isSlow = new ManualResetEventSlim();
        using var allCame = new CountdownEvent(Senders * Frames);
        using var listener = new PeerListener(IPAddress.Loopback, 0, s_secret, ExchangeTransport.Tcp, (_, _, _) =>
        {
            isSlow.Wait();
            allCame.Signal();
        }, output.WriteLine);
        var connections = Enumerable.Range(0, Senders).Select(_ => Dial(listener)).ToList();
        byte[] frame = GC.AllocateArray<byte>(Frame.HeaderBytes + BodyBytes, pinned: true);
        Frame.Seal(frame, FrameKind.Contribution);
        var sends = connections.Select(_ => new GatheredSend()).ToList();
        try
        {
            foreach (var send in sends) Fill(send, frame);
            // Nobody waits for long here: what moves on after a send was refused moves within the system, and the bound holds at every moment.
            for (var round = 0; round < 50; round++)
            {
                for (var i = 0; i < Senders; i++) Assert.False(sends[i].TrySend(connections[i].Handle, mayWait: false), "A sender was rid of everything.");
                var held = sends.Zip(connections).Sum(pair => (long)Frames * frame.Length - pair.First.Left - NotYetTaken(pair.Second));
                Assert.InRange(held, 0, PeerListener.WindowBytes + Senders * ReaderBytes);
                if (round == 49) output.WriteLine($"{held >> 10} KiB held of {Senders * (long)Frames * frame.Length >> 10}");
            }
            isSlow.Set();
            await Task.WhenAll(sends.Zip(connections, (send, connection) => Task.Factory.StartNew(() => Assert.True(send.TrySend(connection.Handle, mayWait: true)), TaskCreationOptions.LongRunning)));
            Assert.True(allCame.Wait(TimeSpan.FromSeconds(60)));
        }
        finally
        {
            isSlow.Set();
            foreach (var connection in connections) connection.Dispose();
            foreach (var send in sends) send.Dispose();
        }
    }

    [Fact]
    public void Connections_that_close_at_once_take_nobody_with_them()
    {
        using var listener = new PeerListener(IPAddress.Loopback, 0, s_secret, ExchangeTransport.Tcp, (_, _, _) => { }, output.WriteLine);
        for (var round = 0; round < 10; round++)
        {
            var connections = Enumerable.Range(0, Senders).Select(_ => Dial(listener)).ToList();
            listener.CloseConnections(); // each that ends gives its share to the others, which are closed as well
            foreach (var connection in connections)
            {
                Assert.True(IsClosed(connection));
                connection.Dispose();
            }
        }

        static bool IsClosed(Connection connection)
        {
            try
            {
                return !connection.TryReceive(out _, out _);
            }
            catch (IOException)
            {
                return true;
            }
        }
    }

    private static unsafe void Fill(GatheredSend send, byte[] pinned)
    {
        for (var i = 0; i < Frames; i++) send.Add((byte*)Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0), pinned.Length);
    }

    private static Connection Dial(PeerListener listener)
    {
        var connection = Connection.Dial(listener.EndPoint, s_secret);
        connection.Send(FrameKind.PeerHello, new PeerHello(Term: 0, From: new MemberId(1), To: new MemberId(0), null).ToBytes());
        Assert.True(connection.TryReceive(out var kind, out _));
        Assert.Equal(FrameKind.PeerReady, kind);
        return connection;
    }

    private static int NotYetTaken(Connection connection)
    {
        Assert.Equal(0, InputOutputControl((int)connection.Handle.DangerousGetHandle(), BytesNotYetTaken, out var bytes));
        return bytes;
    }

    [DllImport("libc", EntryPoint = "ioctl")]
    private static extern int InputOutputControl(int descriptor, nuint request, out int value);
}
