namespace Aisle.Artifacts;

/// <summary>Packs chunks into one shard: frames, then the table, then the trailer. Written front to back, so any stream will do. Not thread-safe.</summary>
/// <param name="output">Written from where it stands; neither flushed nor disposed here.</param>
internal sealed class ShardWriter(Stream output)
{
    public const int MaxFrames = 8192;

    /// <summary>Bytes of frames in a shard at most; the file is at most <see cref="MaxFileBytes"/> with its table.</summary>
    public const int MaxFrameBytes = 64 * 1024 * 1024;

    public const int MaxFileBytes = MaxFrameBytes + ShardTable.HeaderBytes + MaxFrames * ShardTable.SlotBytes + ShardTable.TrailerBytes;

    private readonly List<ShardSlot> _slots = [];
    private readonly HashSet<Digest> _chunks = [];
    private readonly byte[] _header = new byte[ShardFrame.HeaderBytes];
    private int _frameBytes;

    public int Frames => _slots.Count;

    public bool HasRoomFor(int chunkBytes) => _slots.Count < MaxFrames && _frameBytes + ShardFrame.HeaderBytes + chunkBytes <= MaxFrameBytes;

    /// <summary>Adds a chunk; one that is in already is not added again.</summary>
    /// <param name="content">1 to 256 KiB, the bytes whose digest is <paramref name="chunk"/>; the caller has computed it.</param>
    public void Add(Digest chunk, ReadOnlySpan<byte> content)
    {
        ArgumentOutOfRangeException.ThrowIfZero(content.Length, nameof(content));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(content.Length, Chunker.MaxBytes, nameof(content));
        if (!HasRoomFor(content.Length)) throw new InvalidOperationException("The shard is full; ask HasRoomFor first and start another.");
        if (!_chunks.Add(chunk)) return;
        var frame = ShardFrame.Of(chunk, content);
        frame.WriteHeader(_header);
        output.Write(_header);
        output.Write(content);
        _slots.Add(new ShardSlot(chunk, _frameBytes, frame.StoredLength, frame.PlainLength));
        _frameBytes += frame.LengthBytes;
    }

    /// <summary>Writes table and trailer. The writer is done after it.</summary>
    /// <returns>The shard's id and the length of the whole file.</returns>
    public ShardInfo Seal()
    {
        if (_slots.Count == 0) throw new InvalidOperationException("A shard holds at least one chunk.");
        var table = ShardTable.Of(_slots);
        output.Write(table.Encoded.Span);
        output.Write(table.Trailer());
        return new ShardInfo(table.Id, (long)_frameBytes + table.Encoded.Length + ShardTable.TrailerBytes);
    }
}
