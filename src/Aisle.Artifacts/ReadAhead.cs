namespace Aisle.Artifacts;

/// <summary>Reads chunks in order while the next few are already on their way. Starts with one and doubles, so that a lone read costs one chunk. Not thread-safe.</summary>
internal sealed class ReadAhead(IContentStore store, IAsyncEnumerable<PlacedChunk> chunks, CancellationToken cancellationToken) : IAsyncDisposable
{
    private const int MaxChunks = 8;

    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
    private readonly Queue<(PlacedChunk Chunk, Task<ReadOnlyMemory<byte>> Content)> _coming = [];
    private IAsyncEnumerator<PlacedChunk>? _chunks;
    private int _window = 1;
    private bool _ended;

    /// <summary>The next chunk with its bytes, or null at the end.</summary>
    public async ValueTask<(PlacedChunk Chunk, ReadOnlyMemory<byte> Content)?> NextAsync()
    {
        _chunks ??= chunks.GetAsyncEnumerator(_stop.Token);
        while (!_ended && _coming.Count < _window)
        {
            if (await _chunks.MoveNextAsync()) _coming.Enqueue((_chunks.Current, FetchAsync(_chunks.Current)));
            else _ended = true;
        }
        _window = Math.Min(2 * _window, MaxChunks);
        if (_coming.Count == 0) return null;
        var (chunk, content) = _coming.Dequeue();
        return (chunk, await content);
    }

    /// <summary>Makes a waiting <see cref="NextAsync"/> give up. From any thread, before disposal.</summary>
    public void Stop() => _stop.Cancel();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var (_, content) in _coming) await ((Task)content).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_chunks is not null) await _chunks.DisposeAsync();
        _stop.Dispose();
    }

    private async Task<ReadOnlyMemory<byte>> FetchAsync(PlacedChunk chunk)
    {
        if (chunk.LengthBytes == 0) return ReadOnlyMemory<byte>.Empty;
        var content = await store.ReadChunkAsync(chunk.Digest, _stop.Token);
        return content.Length == chunk.LengthBytes
            ? content
            : throw new ArtifactInvalidException($"chunk {chunk.Digest.Short} has {content.Length} bytes where '{chunk.Entry.Path}' says {chunk.LengthBytes}");
    }
}
