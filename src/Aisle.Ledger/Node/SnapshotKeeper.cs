using System.Collections.Concurrent;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Node;

/// <summary>A snapshot that was made or came from the leader, and is on the disk.</summary>
internal sealed record SnapshotKept(LogPosition Position, long Bytes);

/// <summary>What came from the leader is whole and on the disk with its <paramref name="State"/>; or, without one, is not what was sent.</summary>
internal sealed record SnapshotArrived(LogPosition Position, LedgerState? State);

/// <summary>Snapshots of one member, on a thread of their own: made, sent in chunks, received and read. One thing after the other.</summary>
internal sealed class SnapshotKeeper
{
    private const int ChunkBytes = 256 << 10;

    private readonly BlockingCollection<Action> _work = [];   // one snapshot, one chunk a peer, and what the leader sends piece by piece
    private readonly ConcurrentDictionary<MemberId, ChunkWanted> _wanted = [];
    private readonly MemberId _self;
    private readonly ILedgerDisk _disk;
    private readonly Action<Message> _send;
    private readonly Action<object> _happened;
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private SnapshotSource? _source;
    private SnapshotReceiver? _receiver;

    /// <param name="happened">Told of <see cref="SnapshotKept"/>, <see cref="SnapshotArrived"/> and <see cref="SnapshotGone"/>.</param>
    public SnapshotKeeper(MemberId self, ILedgerDisk disk, Action<Message> send, Action<object> happened, Action<Exception> failed)
    {
        (_self, _disk, _send, _happened, _failed) = (self, disk, send, happened, failed);
        _thread = new Thread(Run) { IsBackground = true, Name = "ledger snapshots" };
        _thread.Start();
    }

    public void Make(LogPosition position, byte[] members, LedgerState state) =>
        _work.Add(() => _happened(new SnapshotKept(position, SnapshotFiles.Write(_disk, position, members, to => SnapshotCodec.Write(state, to)))));

    /// <summary>Reads a part and sends it. Of one peer's wishes only the newest counts.</summary>
    public void Serve(ChunkWanted wanted)
    {
        _wanted[wanted.To] = wanted;
        _work.Add(() => Serve(wanted.To));
    }

    public void Store(SnapshotChunk chunk) => _work.Add(() =>
    {
        if (chunk.Offset == 0)
        {
            _receiver?.Dispose();
            _receiver = null;
            // A length that no snapshot has: nothing is stored, and installing finds nothing.
            if (chunk.Total >= SnapshotHeader.Bytes) _receiver = SnapshotFiles.Receive(_disk, chunk.Position, chunk.Total);
        }
        if (_receiver?.Position == chunk.Position) _receiver.Take(chunk.Offset, chunk.Data.Span);
    });

    public void Install(LogPosition position) => _work.Add(() =>
    {
        var whole = _receiver is { } receiver && receiver.Position == position && receiver.Finish();
        _receiver?.Dispose();
        _receiver = null;
        var found = whole ? SnapshotFiles.ReadNewest(_disk, SnapshotCodec.Read, out _) : null;
        _happened(new SnapshotArrived(position, found?.Position == position ? found.State : null));
    });

    public void Stop()
    {
        _work.CompleteAdding();
        _thread.Join();
        _source?.Dispose();
        _receiver?.Dispose();
    }

    private void Run()
    {
        try
        {
            foreach (var work in _work.GetConsumingEnumerable()) work();
        }
        catch (Exception e)
        {
            _failed(e);
        }
    }

    private void Serve(MemberId peer)
    {
        if (!_wanted.TryRemove(peer, out var wanted)) return;
        if (_source?.Position != wanted.Position)
        {
            _source?.Dispose();
            _source = SnapshotFiles.OpenSource(_disk, wanted.Position.Index);
        }
        if (_source?.Position != wanted.Position || wanted.Offset >= _source.FileBytes)
        {
            _happened(new SnapshotGone(peer));
            return;
        }
        var data = new byte[Math.Min(ChunkBytes, _source.FileBytes - wanted.Offset)];
        var read = _source.Read(wanted.Offset, data);
        _send(new SnapshotChunk(_self, peer, wanted.Term, wanted.Session, wanted.Position, wanted.Membership, wanted.Offset, _source.FileBytes, data.AsMemory(0, read)));
    }
}
