using System.Collections.Concurrent;

namespace Aisle.Artifacts;

/// <summary>One node's disk, near or across the network, under the name that all nodes know it by.</summary>
/// <param name="Store">That node's own disk, not its view of all nodes: else they would ask each other in circles.</param>
public sealed record StoreNode(string Name, IContentStore Store);

/// <summary>
/// Many nodes' disks as one. A put is acknowledged when enough nodes have flushed it; a read takes the local copy, else another node's,
/// and what the local disk lost or damaged is fetched again. Thread-safe. Each node runs one over its own disk.
/// </summary>
/// <param name="local">This node.</param>
/// <param name="peers">The other nodes of the data centre as known at this moment, reachable or not; asked at each call.</param>
/// <param name="temporaryDirectory">Where a shard is kept while it is sent on; <see cref="DiskStore.TemporaryDirectory"/> is the right place.</param>
/// <param name="time">Measures the waits in <paramref name="options"/>.</param>
public sealed partial class ReplicatedStore(
    StoreNode local, Func<IReadOnlyList<StoreNode>> peers, ReplicationOptions options, string temporaryDirectory, TimeProvider time) : IContentStore, IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Digest, Lazy<Task>> _mending = new(); // shards of the local disk that are being fetched again
    private long _corruptionsFound, _repaired, _servedFromReplica;

    /// <summary>What this node met since it was started.</summary>
    public ReplicationCounters Counters => new(Interlocked.Read(ref _corruptionsFound), Interlocked.Read(ref _repaired), Interlocked.Read(ref _servedFromReplica));

    /// <summary>Shards on any node that answers, in order of id.</summary>
    public async Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default)
    {
        var lists = await AskAllAsync(Nodes(), (store, token) => store.ListShardsAsync(token), cancellationToken);
        return [.. lists.SelectMany(list => list.Answer).DistinctBy(shard => shard.Id).OrderBy(shard => shard.Id)];
    }

    public async Task<Stream> OpenShardAsync(Digest shardId, CancellationToken cancellationToken = default)
    {
        var nodes = Nodes();
        foreach (var node in nodes)
        {
            try
            {
                return await node.Store.OpenShardAsync(shardId, cancellationToken);
            }
            catch (Exception error) when (IsFailure(error, cancellationToken))
            {
                // The next node may have it.
            }
        }
        throw new ArtifactMissingException(shardId, nodes.Count);
    }

    /// <summary>Stops repairs under way and waits for them. The stores themselves are their owners'.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await MendedAsync();
        _stop.Dispose();
    }

    /// <summary>Completes when no repair started by a read is under way.</summary>
    internal async Task MendedAsync()
    {
        foreach (var mending in _mending.Values) await mending.Value.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Local first.</summary>
    private List<StoreNode> Nodes() => [local, .. peers().Where(peer => peer.Name != local.Name).DistinctBy(peer => peer.Name)];

    /// <summary>Puts the same small question to all nodes at once. Those that fail or take too long are left out of the answer.</summary>
    private async Task<List<(StoreNode Node, TAnswer Answer)>> AskAllAsync<TAnswer>(
        IReadOnlyList<StoreNode> nodes, Func<IContentStore, CancellationToken, Task<TAnswer>> question, CancellationToken cancellationToken)
    {
        var asked = nodes.Select(async node =>
        {
            try
            {
                return (node, answered: true, answer: await WithinAsync(options.AnswerWithin, token => question(node.Store, token), cancellationToken));
            }
            catch (Exception error) when (IsFailure(error, cancellationToken))
            {
                return (node, answered: false, answer: default(TAnswer)!);
            }
        });
        return [.. (await Task.WhenAll(asked)).Where(one => one.answered).Select(one => (one.node, one.answer))];
    }

    private async Task<T> WithinAsync<T>(TimeSpan limit, Func<CancellationToken, Task<T>> work, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, late.Token);
        return await work(either.Token);
    }

    /// <summary>Whether an exception is a node's trouble, to be worked around, rather than the caller's wish to stop.</summary>
    private static bool IsFailure(Exception error, CancellationToken cancellationToken) => !(error is OperationCanceledException && cancellationToken.IsCancellationRequested);
}

/// <param name="CorruptionsFound">Reads and copies that met bytes which were not what their digest says, on any node.</param>
/// <param name="Repaired">Shards fetched anew to this node's disk.</param>
/// <param name="ServedFromReplica">Chunks that another node gave because the local disk could not.</param>
public readonly record struct ReplicationCounters(long CorruptionsFound, long Repaired, long ServedFromReplica);
