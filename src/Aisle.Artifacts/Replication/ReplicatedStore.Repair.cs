namespace Aisle.Artifacts;

public sealed partial class ReplicatedStore
{
    /// <summary>One round of repair: compares what this node should hold, by placement over the nodes known now, with what it holds, and fetches the
    /// rest from whoever has it, verified. Each node repairs itself; run it at start, after a change of nodes, and now and then.</summary>
    public async Task<RepairReport> RepairAsync(CancellationToken cancellationToken = default)
    {
        var nodes = Nodes();
        var holders = await HoldersAsync(nodes, cancellationToken);
        int expected = 0, copied = 0, failed = 0, thin = 0;
        long bytes = 0;
        string? firstFailure = null;
        // Fewest copies first: what one more loss would destroy is made safe before anything else.
        foreach (var (shard, having) in holders.OrderBy(item => item.Value.Count).ThenBy(item => item.Key.Id))
        {
            var wanted = options.Wanted(nodes.Count);
            if (having.Count < wanted) thin++;
            if (!Placement.Rank(shard.Id, nodes, node => node.Name).Take(wanted).Contains(local)) continue;
            expected++;
            if (having.Contains(local)) continue;
            var failure = await FetchAsync(shard, having, cancellationToken);
            if (failure is null)
            {
                copied++;
                bytes += shard.LengthBytes;
                continue;
            }
            failed++;
            firstFailure ??= failure.Message;
        }
        return new RepairReport(expected, copied, bytes, failed, thin, firstFailure);
    }

    /// <summary>Which of the nodes that answer hold which shards.</summary>
    private async Task<Dictionary<ShardInfo, List<StoreNode>>> HoldersAsync(IReadOnlyList<StoreNode> nodes, CancellationToken cancellationToken)
    {
        var holders = new Dictionary<ShardInfo, List<StoreNode>>();
        foreach (var (node, shards) in await AskAllAsync(nodes, (store, token) => store.ListShardsAsync(token), cancellationToken))
        {
            foreach (var shard in shards)
            {
                if (!holders.TryGetValue(shard, out var having)) holders[shard] = having = [];
                having.Add(node);
            }
        }
        return holders;
    }

    /// <summary>Copies a shard to the local disk from the first of <paramref name="sources"/> that gives a good one.</summary>
    /// <returns>Null when it is there, else why the last source could not give it.</returns>
    private async Task<Exception?> FetchAsync(ShardInfo shard, IEnumerable<StoreNode> sources, CancellationToken cancellationToken)
    {
        Exception? failure = null;
        foreach (var source in sources)
        {
            try
            {
                await WithinAsync(options.StoreWithin, async token =>
                {
                    await using var copy = await source.Store.OpenShardAsync(shard.Id, token);
                    return await local.Store.PutShardAsync(shard.Id, copy, shard.LengthBytes, token);
                }, cancellationToken);
                Interlocked.Increment(ref _repaired);
                return null;
            }
            catch (Exception error) when (IsFailure(error, cancellationToken))
            {
                if (error is ShardInvalidException) Interlocked.Increment(ref _corruptionsFound);
                failure = error;
            }
        }
        return failure ?? new ArtifactMissingException(shard.Id, 0);
    }
}

/// <param name="Expected">Shards that belong on this node.</param>
/// <param name="Copied">Of those, fetched in this round.</param>
/// <param name="Failed">Of those, not fetched: nobody gave a good copy, or this disk could not take it.</param>
/// <param name="Thin">Shards anywhere with fewer copies than wanted when the round began; when it stays above 0, nodes are missing.</param>
/// <param name="FirstFailure">Why the first of <paramref name="Failed"/> could not be fetched.</param>
public readonly record struct RepairReport(int Expected, int Copied, long CopiedBytes, int Failed, int Thin, string? FirstFailure);
