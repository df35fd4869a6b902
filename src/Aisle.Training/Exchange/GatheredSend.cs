using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Aisle.Training.Exchange;

/// <summary>Bytes that lie in several places and leave as one stream, without being copied together first. Not thread-safe.</summary>
internal sealed unsafe class GatheredSend : IDisposable
{
    private const int MostPieces = 64;
    private const int LookUpEveryMilliseconds = 1000;
    private Libc.Piece* _pieces = (Libc.Piece*)NativeMemory.Alloc(MostPieces, (nuint)sizeof(Libc.Piece));
    private int _first;
    private int _end;

    public bool IsEmpty => _first == _end;

    /// <summary>Bytes added since it was last empty.</summary>
    public long Bytes { get; private set; }

    /// <summary>Bytes not yet sent.</summary>
    public long Left
    {
        get
        {
            long bytes = 0;
            for (var i = _first; i < _end; i++) bytes += _pieces[i].Bytes;
            return bytes;
        }
    }

    /// <summary>Whether a frame's two pieces fit.</summary>
    public bool HasRoom => _end + 2 <= MostPieces;

    /// <summary>What lies there must stay until all is sent.</summary>
    public void Add(byte* at, int bytes)
    {
        Bytes += bytes;
        if (_end > _first && _pieces[_end - 1].At + _pieces[_end - 1].Bytes == at) _pieces[_end - 1].Bytes += bytes;
        else _pieces[_end++] = new Libc.Piece { At = at, Bytes = bytes };
    }

    /// <returns>False when the rest would have to wait for room, and <paramref name="mayWait"/> is not.</returns>
    /// <exception cref="SocketException">The connection is gone.</exception>
    /// <exception cref="ObjectDisposedException">It was closed here.</exception>
    public bool TrySend(SafeSocketHandle socket, bool mayWait)
    {
        var isHeld = false;
        try
        {
            socket.DangerousAddRef(ref isHeld);
            var descriptor = (int)socket.DangerousGetHandle();
            while (!IsEmpty)
            {
                var header = new Libc.MessageHeader { Pieces = _pieces + _first, PieceCount = _end - _first };
                var sent = Libc.SendMessage(descriptor, &header, Libc.SendWithoutSignal | Libc.SendWithoutWaiting);
                if (sent >= 0)
                {
                    Advance(sent);
                    continue;
                }
                var error = Marshal.GetLastPInvokeError();
                if (error == Libc.Interrupted) continue;
                if (error != Libc.WouldBlock) throw new SocketException((int)SocketError.ConnectionReset, $"Sending failed with error {error}.");
                if (!mayWait) return false;
                var wanted = new Libc.PollEntry { Descriptor = descriptor, Wanted = Libc.CanSend };
                _ = Libc.Poll(&wanted, 1, LookUpEveryMilliseconds);
            }
            return true;
        }
        finally
        {
            if (isHeld) socket.DangerousRelease();
        }
    }

    public void Clear() => (_first, _end, Bytes) = (0, 0, 0);

    public void Dispose()
    {
        NativeMemory.Free(_pieces);
        _pieces = null;
        Clear();
    }

    private void Advance(nint sent)
    {
        while (sent > 0 && sent >= _pieces[_first].Bytes) sent -= _pieces[_first++].Bytes;
        if (IsEmpty)
        {
            Clear();
            return;
        }
        _pieces[_first].At += sent;
        _pieces[_first].Bytes -= sent;
    }
}
