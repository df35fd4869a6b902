using System.Collections.Concurrent;

namespace Aisle.Artifacts;

public sealed partial class ReplicatedStore
{
    /// <summary>A chunk is present only when as many nodes have it as a put would now send it to: one that a half-failed put left on a single
    /// node is sent again, so the put that relies on it means what it says.</summary>
    public async Task<ChunkPresence> FindMissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellationToken = default)
    {
        var nodes = Nodes();
        var wanted = options.Wanted(nodes.Count);
        var copies = new Dictionary<Digest, int>(chunks.Count);
        var answers = await AskAllAsync(nodes, (store, token) => store.FindMissingAsync(chunks, token), cancellationToken);
        foreach (var chunk in chunks) copies[chunk] = answers.Count;
        foreach (var (_, answer) in answers)
        {
            // Counted down, not up: a node says what it lacks. What was not asked about is not believed.
            foreach (var chunk in answer.Missing.Distinct())
            {
                if (copies.TryGetValue(chunk, out var count)) copies[chunk] = count - 1;
            }
        }
        var enough = Math.Max(options.Required(nodes.Count), Math.Min(wanted, answers.Count));
        List<Digest> missing = [.. chunks.Distinct().Where(chunk => copies[chunk] < enough)];
        var fewest = copies.Values.Where(count => count >= enough).DefaultIfEmpty(wanted).Min();
        return new ChunkPresence(missing, Math.Min(fewest, wanted), wanted);
    }

    public async Task<ShardReceipt> PutShardAsync(Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken = default)
    {
        var ranked = Placement.Rank(shardId, Nodes(), node => node.Name);
        int wanted = options.Wanted(ranked.Count), required = options.Required(ranked.Count);
        if (lengthBytes is <= 0 or > ShardWriter.MaxFileBytes) throw new ShardInvalidException($"a length of {lengthBytes} bytes is out of bounds");

        await using var spool = await SpoolAsync(shard, lengthBytes, cancellationToken);
        using var stragglers = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var patience = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        await using var enough = patience.Token.Register(stragglers.Cancel);
        var failures = new ConcurrentQueue<Exception>();
        int copies = 0, lastStarted = wanted - 1;
        await Task.WhenAll(Enumerable.Range(0, wanted).Select(LegAsync));
        cancellationToken.ThrowIfCancellationRequested();
        return copies >= required ? new ShardReceipt(copies, wanted) : throw new TooFewCopiesException(shardId, copies, required, wanted, [.. failures]);

        // Shards do not change, so a leg that fails is simply walked by the next node in the ranking.
        async Task LegAsync(int rank)
        {
            for (; rank < ranked.Count && !stragglers.IsCancellationRequested; rank = Interlocked.Increment(ref lastStarted))
            {
                try
                {
                    await WithinAsync(options.StoreWithin, async token =>
                    {
                        await using var copy = spool.OpenRead();
                        return await ranked[rank].Store.PutShardAsync(shardId, copy, lengthBytes, token);
                    }, stragglers.Token);
                    if (Interlocked.Increment(ref copies) == required && required < wanted) patience.CancelAfter(options.AnswerWithin);
                    return;
                }
                catch (Exception error)
                {
                    failures.Enqueue(error);
                }
            }
        }
    }

    private async Task<Spool> SpoolAsync(Stream shard, long lengthBytes, CancellationToken cancellationToken)
    {
        var spool = new Spool(Path.Combine(temporaryDirectory, $"spool-{Path.GetRandomFileName()}"));
        try
        {
            await spool.FillAsync(shard, lengthBytes, cancellationToken);
            return spool;
        }
        catch
        {
            await spool.DisposeAsync();
            throw;
        }
    }

    /// <summary>The shard as it came, so that each leg can read it at its own pace, and a substitute from the start.</summary>
    private sealed class Spool(string path) : IAsyncDisposable
    {
        public async Task FillAsync(Stream content, long lengthBytes, CancellationToken cancellationToken)
        {
            try
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                await using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
                Posix.Reserve(file, lengthBytes);
                var buffer = new byte[Math.Min(256 * 1024, lengthBytes)];
                for (var left = lengthBytes; left > 0;)
                {
                    var read = await content.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, left)), cancellationToken);
                    if (read == 0) throw new ShardInvalidException($"it ends {left} bytes early");
                    await file.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
                    left -= read;
                }
            }
            catch (IOException error) when (DiskFullException.Explains(error))
            {
                throw DiskFullException.From(error, Path.GetDirectoryName(path)!, lengthBytes);
            }
        }

        public FileStream OpenRead() => new(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0, FileOptions.SequentialScan);

        public ValueTask DisposeAsync()
        {
            if (File.Exists(path)) File.Delete(path);
            return ValueTask.CompletedTask;
        }
    }
}
