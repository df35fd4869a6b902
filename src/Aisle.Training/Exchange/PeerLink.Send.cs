using System.Runtime.InteropServices;
using Aisle.Training.Numerics;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>From parcels to bytes: heads and packed numbers are written into one buffer, other numbers leave from where they lie, or only their place does.</summary>
internal sealed unsafe partial class PeerLink
{
    private const int AimedSendBytes = 256 << 10; // small frames travel together: a send and a wake-up cost more than their bytes
    private readonly byte[] _heads; // pinned
    private readonly GatheredSend _out = new();
    private readonly List<Parcel> _onTheWay = []; // what _out reads from
    private int _headBytes;
    private bool _peerReadsArena;

    /// <summary>By whoever has set <c>_sending</c>, which is taken back when the queue is empty.</summary>
    /// <returns>False when the socket takes no more and this may not wait; then it is still set.</returns>
    private bool SendQueued(Connection connection, bool mayWait)
    {
        while (true)
        {
            if (!_out.IsEmpty && !_out.TrySend(connection.Handle, mayWait)) return false;
            foreach (var parcel in _onTheWay) parcel.Done();
            _onTheWay.Clear();
            _headBytes = 0;
            while (_out.Bytes < AimedSendBytes && _out.HasRoom && Next() is { } parcel) Write(parcel);
            if (!_out.IsEmpty) continue;
            lock (_gate)
            {
                if (_queue.Count > 0) continue;
                _sending = false;
                if (_broken || _closed) Monitor.PulseAll(_gate);
                return true;
            }
        }
    }

    private Parcel? Next()
    {
        lock (_gate) return _queue.TryDequeue(out var parcel) ? parcel : null;
    }

    private void Write(Parcel parcel)
    {
        if (parcel.Buffer is not { } buffer)
        {
            new StateAskedFrame(parcel.Shard, parcel.Step).Write(Body);
            Finish(FrameKind.StateAsked, StateAskedFrame.SizeBytes, null, 0);
            return;
        }
        _onTheWay.Add(parcel);
        if (parcel.Kind == ParcelKind.State)
        {
            var arenas = ((SharedBuffer<float>)buffer).Length / _options.Grid.ShardElements; // weights and slots
            Finish(FrameKind.State, StateFrame.WriteHead(Body, parcel.Step, parcel.Shard, parcel.Powers), buffer.Numbers, arenas * _options.Grid.Length(parcel.Shard) * sizeof(float));
            return;
        }
        var place = _peerReadsArena && buffer.Place != SharedBuffer.Private ? new NumbersPlace(buffer.Place, buffer.Generation) : NumbersPlace.InFrame;
        var (offset, length) = (_options.Grid.Offset(parcel.Shard), _options.Grid.Length(parcel.Shard));
        if (parcel.Kind == ParcelKind.Reduced)
        {
            var reducedHead = ReducedFrame.WriteHead(Body, parcel.Step, parcel.Shard, parcel.Note, place);
            Finish(FrameKind.Reduced, reducedHead, place.IsInFrame ? buffer.Numbers + (long)offset * sizeof(float) : null, length * sizeof(float));
            return;
        }
        var isPacked = place.IsInFrame && parcel.Form == NumberForm.Fixed64;
        var head = ContributionFrame.WriteHead(Body, parcel.Step, parcel.Shard, parcel.Note, parcel.Slices!, isPacked ? NumberForm.Packed : parcel.Form, place);
        if (isPacked)
        {
            head += PackedBlocks.Pack(new ReadOnlySpan<long>(buffer.Numbers + (long)offset * sizeof(long), length), Body[head..]);
            Finish(FrameKind.Contribution, head, null, 0);
        }
        else
        {
            Finish(FrameKind.Contribution, head, place.IsInFrame ? buffer.Numbers + (long)offset * sizeof(float) : null, length * sizeof(float));
        }
    }

    private Span<byte> Body => _heads.AsSpan(_headBytes + Frame.HeaderBytes);

    private void Finish(FrameKind kind, int headBytes, byte* rest, int restBytes)
    {
        var frame = _heads.AsSpan(_headBytes, Frame.HeaderBytes + headBytes);
        var at = (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(_heads, _headBytes);
        _headBytes += frame.Length;
        if (rest is null)
        {
            Frame.Seal(frame, kind);
            _out.Add(at, frame.Length);
            return;
        }
        Frame.Seal(frame, kind, new ReadOnlySpan<byte>(rest, restBytes));
        _out.Add(at, frame.Length);
        _out.Add(rest, restBytes);
    }
}
