namespace Aisle.Artifacts;

public sealed partial class ReplicatedStore
{
    public async Task<ReadOnlyMemory<byte>> ReadChunkAsync(Digest chunk, CancellationToken cancellationToken = default)
    {
        AisleException? damage = null;
        var nodes = Nodes();
        // The local copy, then the peers, each chunk in an order of its own so that a lost disk's reads spread over all of them.
        foreach (var node in Placement.Rank(chunk, nodes.Skip(1), node => node.Name).Prepend(local))
        {
            try
            {
                var content = await WithinAsync(options.AnswerWithin, token => node.Store.ReadChunkAsync(chunk, token), cancellationToken);
                if (node != local)
                {
                    // Across a network nothing is believed; the local disk has checked already.
                    if (Digest.Of(content.Span) != chunk) throw new ChunkCorruptException(chunk, default, node.Name, "what it sent is not what the digest says");
                    Interlocked.Increment(ref _servedFromReplica);
                }
                return content;
            }
            catch (AisleException corrupt) when (corrupt.Code == ChunkCorruptException.ErrorCode)
            {
                Interlocked.Increment(ref _corruptionsFound);
                if (node == local && corrupt is ChunkCorruptException { Shard: var shard }) Mend(shard);
                damage ??= corrupt;
            }
            catch (Exception error) when (IsFailure(error, cancellationToken))
            {
                // Missing there, or the node is in trouble: the next one may have it.
            }
        }
        throw damage ?? (Exception)new ArtifactMissingException(chunk, nodes.Count);
    }

    /// <summary>Fetches a damaged local shard from another node, while the read that found it goes on. One fetch a shard at a time.</summary>
    private void Mend(Digest shard)
    {
        var mending = new Lazy<Task>(() => Task.Run(async () =>
        {
            try
            {
                var holders = await HoldersAsync([.. Nodes().Skip(1)], _stop.Token);
                foreach (var (info, having) in holders.Where(item => item.Key.Id == shard)) await FetchAsync(info, having, _stop.Token);
            }
            catch (OperationCanceledException)
            {
                // Stopping; the next start's repair round finds it.
            }
            finally
            {
                _mending.TryRemove(shard, out _);
            }
        }));
        if (!_stop.IsCancellationRequested && _mending.TryAdd(shard, mending)) _ = mending.Value;
    }
}
