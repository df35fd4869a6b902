namespace Aisle.Artifacts;

/// <summary>One entry as a seekable stream: every byte verified, the next chunks read ahead. One reader at a time.</summary>
internal sealed class EntryStream(IContentStore store, TreeEntry entry) : Stream
{
    private ReadAhead? _ahead;
    private PlacedChunk _chunk; // holds the byte at _position when _content is not empty
    private ReadOnlyMemory<byte> _content;
    private long _position;
    private bool _disposed;

    public override bool CanRead => !_disposed;

    public override bool CanSeek => !_disposed;

    public override bool CanWrite => false;

    public override long Length => entry.SizeBytes;

    public override long Position
    {
        get => _position;
        set => Seek(value, SeekOrigin.Begin);
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        cancellationToken.ThrowIfCancellationRequested();
        if (buffer.IsEmpty || _position >= Length) return 0;
        if (!Holds(_position)) await MoveAsync(cancellationToken);
        var from = _content[(int)(_position - _chunk.Offset)..];
        var count = Math.Min(buffer.Length, from.Length);
        from[..count].CopyTo(buffer);
        _position += count;
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override long Seek(long offset, SeekOrigin origin)
    {
        var target = offset + origin switch { SeekOrigin.Begin => 0, SeekOrigin.Current => _position, _ => Length };
        ArgumentOutOfRangeException.ThrowIfNegative(target, nameof(offset));
        return _position = target;
    }

    public override void Flush()
    {
    }

    public override void SetLength(long value) => throw new NotSupportedException("Artifacts do not change.");

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("Artifacts do not change.");

    public override async ValueTask DisposeAsync()
    {
        _disposed = true;
        if (_ahead is not null) await _ahead.DisposeAsync();
        _ahead = null;
        _content = default;
        await base.DisposeAsync();
    }

    protected override void Dispose(bool disposing)
    {
        _disposed = true;
        if (disposing) _ahead?.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _ahead = null;
        base.Dispose(disposing);
    }

    private bool Holds(long position) => !_content.IsEmpty && position >= _chunk.Offset && position < _chunk.Offset + _content.Length;

    private async ValueTask MoveAsync(CancellationToken cancellationToken)
    {
        var continues = _ahead is not null && _position == _chunk.Offset + _content.Length;
        if (!continues)
        {
            if (_ahead is not null) await _ahead.DisposeAsync();
            // Reading ahead outlives this call, so it is not bound to this call's token.
            _ahead = new ReadAhead(store, TreeReader.ChunksAsync(store, entry, _position, CancellationToken.None), CancellationToken.None);
        }
        try
        {
            await using var stop = cancellationToken.Register(_ahead!.Stop);
            var next = await _ahead.NextAsync();
            (_chunk, _content) = next ?? throw new ArtifactInvalidException($"entry '{entry.Path}' ends at byte {_position} of {Length}");
        }
        catch
        {
            // The read-ahead may be anywhere now: the next read starts a new one.
            await _ahead!.DisposeAsync();
            _ahead = null;
            _content = default;
            cancellationToken.ThrowIfCancellationRequested();
            throw;
        }
    }
}
