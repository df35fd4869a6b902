using System.Text.Unicode;

namespace Aisle.Pipelines;

/// <summary>Lines of a UTF-8 file, one at a time, in memory bounded by the longest line allowed. Blank lines count but are the caller's to skip.</summary>
internal sealed class LineReader(Stream stream, int maxLineBytes = LineReader.DefaultMaxLineBytes)
{
    public const int DefaultMaxLineBytes = 16 << 20;
    private byte[] _buffer = new byte[1 << 16];
    private int _start, _end;
    private bool _ended;

    /// <summary>The line without its end; valid until the next read. Cut off when <see cref="Fault"/> says it is too long.</summary>
    public ReadOnlyMemory<byte> Line { get; private set; }

    /// <summary>From 1.</summary>
    public long Number { get; private set; }

    /// <summary>Why the line is not text, or null.</summary>
    public string? Fault { get; private set; }

    public bool TryRead()
    {
        var searched = 0;
        int length;
        while ((length = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n')) < 0)
        {
            searched = _end - _start;
            if (searched > maxLineBytes)
            {
                SkipLongLine();
                return true;
            }
            if (!Fill())
            {
                if (_start == _end) return false;
                length = _end - _start;
                Take(length, length);
                return true;
            }
        }
        Take(searched + length, searched + length + 1);
        return true;
    }

    private void Take(int length, int consumed)
    {
        Number++;
        var line = _buffer.AsMemory(_start, length);
        if (Number == 1 && line.Span.StartsWith("\uFEFF"u8)) line = line[3..];
        if (line.Span.EndsWith("\r"u8)) line = line[..^1];
        Line = line;
        Fault = length > maxLineBytes ? TooLong : Utf8.IsValid(line.Span) ? null : "the line is not UTF-8";
        _start += consumed;
    }

    private string TooLong => $"the line is longer than {maxLineBytes:N0} bytes";

    private void SkipLongLine()
    {
        Number++;
        (Line, Fault) = (_buffer.AsSpan(_start, 1024).ToArray(), TooLong);
        int at;
        while ((at = _buffer.AsSpan(_start, _end - _start).IndexOf((byte)'\n')) < 0)
        {
            _start = _end;
            if (!Fill()) return;
        }
        _start += at + 1;
    }

    private bool Fill()
    {
        if (_ended) return false;
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }
        if (_end == _buffer.Length) Array.Resize(ref _buffer, _buffer.Length * 2);
        var read = stream.Read(_buffer.AsSpan(_end));
        _end += read;
        _ended = read == 0;
        return !_ended;
    }
}
