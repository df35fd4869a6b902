using Aisle.Artifacts;

namespace Aisle.Ledger.Log;

/// <summary>A file from an offset on, read or written once from front to end through a buffer, with the checksum of what passed.</summary>
internal sealed class LedgerFileStream(ILedgerFile file, long offset) : Stream
{
    private readonly byte[] _buffer = new byte[256 << 10];
    private uint _crc = Crc32C.Start;
    private int _at, _filled;
    private long _offset = offset;

    /// <summary>Checksum of all that was written and flushed, or read from the file.</summary>
    public uint Crc => Crc32C.Finish(_crc);

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    /// <summary>Place in the file.</summary>
    public override long Position
    {
        get => _offset;
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> buffer)
    {
        if (_at == _filled)
        {
            (_at, _filled) = (0, file.Read(_buffer, _offset));
            _crc = Crc32C.Add(_crc, _buffer.AsSpan(0, _filled));
            _offset += _filled;
        }
        var count = Math.Min(buffer.Length, _filled - _at);
        _buffer.AsSpan(_at, count).CopyTo(buffer);
        _at += count;
        return count;
    }

    /// <summary>Reads what is left.</summary>
    /// <returns>Checksum of the file from the first offset to its end.</returns>
    public uint Drain()
    {
        Span<byte> one = stackalloc byte[1];
        do _at = _filled;
        while (Read(one) > 0);
        return Crc;
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            var count = Math.Min(buffer.Length, _buffer.Length - _filled);
            buffer[..count].CopyTo(_buffer.AsSpan(_filled));
            _filled += count;
            buffer = buffer[count..];
            if (_filled == _buffer.Length) Flush();
        }
    }

    /// <summary>Hands what was written to the file.</summary>
    public override void Flush()
    {
        var bytes = _buffer.AsSpan(0, _filled);
        _crc = Crc32C.Add(_crc, bytes);
        file.Write(bytes, _offset);
        _offset += _filled;
        _filled = 0;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
