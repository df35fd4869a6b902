using System.Text.Json.Nodes;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Terminal;

namespace Aisle.Quickstart;

/// <summary>Real text becomes an artifact: content-defined chunks in packed shards, three flushed copies on three nodes, verified on read.</summary>
internal sealed class DataChapter(Narrator narrator, AisleClient client, QuickstartOptions options, WorkingFolder folder)
{
    public const string Name = "data/text";

    public async Task<PutResult> TellAsync(CancellationToken cancellationToken)
    {
        var text = SourceText.Gather(options.Data, options.Quick, Path.Combine(folder.Path, "text"));
        narrator.Fact($"From {text.What}");
        narrator.Typed($"aisle put {Name} {(options.Data is null ? "FOLDER" : text.Path)}");
        var start = narrator.Elapsed;
        var put = await TransferBar.RunAsync(narrator.Console, "   put", TimeProvider.System, progress => client.PutAsync(Name, text.Path, progress, cancellationToken));
        var took = narrator.Elapsed - start;
        if (put.Bytes == 0) throw new CheckFailedException($"{text.Path} holds no bytes.", "Give a folder or file of text with --data.");
        narrator.Fact($"{Amount.Bytes(put.Bytes)} in {put.Chunks:N0} chunks, {put.NewChunks:N0} of them different: {Amount.Bytes(put.StoredBytes)} to store, {put.Copies} copies each, flushed to disk");
        narrator.Fact($"{Amount.Time(took)} at {Amount.Bytes(put.Bytes / took.TotalSeconds)}/s; its digest is {put.Digest.Short}");
        narrator.Event("put", new JsonObject
        {
            ["name"] = Name, ["digest"] = put.Digest.ToString(), ["bytes"] = put.Bytes, ["storedBytes"] = put.StoredBytes, ["copies"] = put.Copies, ["seconds"] = Math.Round(took.TotalSeconds, 3),
        });
        await CompareSampleAsync(put.Digest, text.Path, cancellationToken);
        return put;
    }

    /// <summary>The largest file comes back and is compared byte by byte with the one on this disk.</summary>
    private async Task CompareSampleAsync(Digest digest, string source, CancellationToken cancellationToken)
    {
        var artifact = await client.Artifacts.OpenAsync(digest, cancellationToken);
        ArtifactEntry? sample = null;
        await foreach (var entry in artifact.ListAsync(cancellationToken))
            if (sample is null || entry.SizeBytes > sample.Value.SizeBytes) sample = entry;
        var path = sample!.Value.Path;

        await using var stored = await client.Artifacts.OpenEntryAsync(digest, path, cancellationToken);
        await using var original = File.OpenRead(Directory.Exists(source) ? Path.Combine(source, path) : source);
        if (!await AreEqualAsync(stored, original, cancellationToken))
            throw new CheckFailedException($"{path} came back from the data centre with other bytes than were put.", "Run `aisle doctor`; please report this with the logs of the nodes.");
        narrator.Fact($"Read back {path} ({Amount.Bytes(sample.Value.SizeBytes)}): every byte as it was");
    }

    private static async Task<bool> AreEqualAsync(Stream a, Stream b, CancellationToken cancellationToken)
    {
        var (left, right) = (new byte[1 << 16], new byte[1 << 16]);
        while (true)
        {
            var read = await a.ReadAtLeastAsync(left, left.Length, throwOnEndOfStream: false, cancellationToken);
            if (await b.ReadAtLeastAsync(right, right.Length, throwOnEndOfStream: false, cancellationToken) != read) return false;
            if (!left.AsSpan(0, read).SequenceEqual(right.AsSpan(0, read))) return false;
            if (read < left.Length) return true;
        }
    }
}
