namespace Aisle.Artifacts.Tests;

/// <summary>Three disks in three folders, each with its own view of all of them through links that can be cut.</summary>
internal sealed class ThreeNodes : IAsyncDisposable
{
    private static readonly string[] Names = ["a", "b", "c"];
    private string? _files;

    public Folder Folder { get; } = new();

    public DiskStore[] Disks { get; private init; } = [];

    public Link[] Links { get; private init; } = [];

    public ReplicatedStore[] Stores { get; private set; } = [];

    public static async Task<ThreeNodes> StartAsync(ReplicationOptions? options = null)
    {
        var folder = new Folder();
        var disks = new List<DiskStore>();
        foreach (var name in Names) disks.Add(await DiskStore.OpenAsync(folder["node-" + name]));
        var nodes = new ThreeNodes(folder) { Disks = [.. disks], Links = [.. disks.Select(disk => new Link(disk))] };
        nodes.Stores = [.. Names.Select((name, i) => new ReplicatedStore(
            new StoreNode(name, nodes.Disks[i]),
            () => [.. Names.Index().Where(other => other.Index != i).Select(other => new StoreNode(other.Item, nodes.Links[other.Index]))],
            options ?? new ReplicationOptions(), nodes.Disks[i].TemporaryDirectory, TimeProvider.System))];
        return nodes;
    }

    private ThreeNodes(Folder folder) => Folder = folder;

    public ArtifactStore Artifacts(int node) => new(Stores[node], Folder["client-tmp"]);

    public string SomeFiles() => _files ??= Folder.Write("in", new Dictionary<string, byte[]>
    {
        ["docs/a.txt"] = Bytes.Random(1, 700_000),
        ["docs/b.txt"] = Bytes.Random(2, 40_000),
        ["empty"] = [],
    });

    /// <summary>The one shard file on a node.</summary>
    public string ShardFile(int node) => Assert.Single(Directory.GetFiles(Path.Combine(Disks[node].Root, "shards")));

    public static void Flip(string file, long at)
    {
        using var stream = File.Open(file, FileMode.Open, FileAccess.ReadWrite);
        stream.Position = at;
        var was = stream.ReadByte();
        stream.Position = at;
        stream.WriteByte((byte)(was ^ 0x10));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var store in Stores) await store.DisposeAsync();
        foreach (var disk in Disks) disk.Dispose();
        Folder.Dispose();
    }

    /// <summary>The way to a node: it can fail, never answer, or change what passes.</summary>
    internal sealed class Link(IContentStore node) : IContentStore
    {
        public bool Broken { get; set; }

        public bool Silent { get; set; }

        public bool Lying { get; set; }

        public async Task<ChunkPresence> FindMissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellationToken = default) =>
            await (await PassAsync(cancellationToken)).FindMissingAsync(chunks, cancellationToken);

        public async Task<ShardReceipt> PutShardAsync(Digest shardId, Stream shard, long lengthBytes, CancellationToken cancellationToken = default) =>
            await (await PassAsync(cancellationToken)).PutShardAsync(shardId, shard, lengthBytes, cancellationToken);

        public async Task<ReadOnlyMemory<byte>> ReadChunkAsync(Digest chunk, CancellationToken cancellationToken = default)
        {
            var content = (await (await PassAsync(cancellationToken)).ReadChunkAsync(chunk, cancellationToken)).ToArray();
            if (Lying) content[^1] ^= 1;
            return content;
        }

        public async Task<IReadOnlyList<ShardInfo>> ListShardsAsync(CancellationToken cancellationToken = default) =>
            await (await PassAsync(cancellationToken)).ListShardsAsync(cancellationToken);

        public async Task<Stream> OpenShardAsync(Digest shardId, CancellationToken cancellationToken = default) =>
            await (await PassAsync(cancellationToken)).OpenShardAsync(shardId, cancellationToken);

        private async Task<IContentStore> PassAsync(CancellationToken cancellationToken)
        {
            if (Broken) throw new IOException("connection refused");
            if (Silent) await Task.Delay(Timeout.Infinite, cancellationToken);
            return node;
        }
    }
}
