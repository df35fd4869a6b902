namespace Aisle.Artifacts;

/// <summary>
/// Puts folders and files into a content store as artifacts, and gets them back. Chunking, hashing and packing happen here, beside the
/// data; the store sees sealed shards only. Thread-safe; each put and get stands alone.
/// </summary>
/// <param name="store">Where the bytes go: a disk, a replicated store, a data centre.</param>
/// <param name="temporaryDirectory">Where shards are packed before they are sent, at most three of 64 MiB a put; the system's own when null. Nothing is left there, not even by a crash.</param>
public sealed partial class ArtifactStore(IContentStore store, string? temporaryDirectory = null)
{
    /// <summary>Reads the root of an artifact.</summary>
    /// <exception cref="ArtifactMissingException">No copy was found.</exception>
    /// <exception cref="ArtifactInvalidException">The digest names bytes that are no artifact.</exception>
    public async Task<Artifact> OpenAsync(Digest artifact, CancellationToken cancellationToken = default)
    {
        var root = await store.ReadChunkAsync(artifact, cancellationToken);
        return new Artifact(store, artifact, RootNode.Decode(root.Span));
    }

    /// <summary>One entry as a seekable stream, verified, the next chunks read ahead. The caller disposes it; one reader at a time.</summary>
    /// <exception cref="AisleException">AISLE-1010: there is no such entry.</exception>
    public async Task<Stream> OpenEntryAsync(Digest artifact, string path, CancellationToken cancellationToken = default)
    {
        var opened = await OpenAsync(artifact, cancellationToken);
        return new EntryStream(store, await opened.FindAsync(path, cancellationToken));
    }

    /// <summary>All of a small entry.</summary>
    /// <exception cref="AisleException">AISLE-1010: there is no such entry; AISLE-1013: it is larger than <paramref name="maxBytes"/>.</exception>
    public async Task<ReadOnlyMemory<byte>> ReadEntryAsync(Digest artifact, string path, int maxBytes = 16 * 1024 * 1024, CancellationToken cancellationToken = default)
    {
        await using var stream = await OpenEntryAsync(artifact, path, cancellationToken);
        if (stream.Length > maxBytes)
            throw new AisleException("AISLE-1013", $"Entry '{path}' of {artifact.Short} has {stream.Length:N0} bytes, more than the {maxBytes:N0} allowed here.", "Stream it with OpenEntryAsync, or allow more.");
        var content = new byte[stream.Length];
        await stream.ReadExactlyAsync(content, cancellationToken);
        return content;
    }
}

/// <summary>What a put did. Returned only when everything, the root included, is on disk <paramref name="Copies"/> times.</summary>
/// <param name="Bytes">Bytes of all entries together.</param>
/// <param name="StoredBytes">Bytes this put added to the store, one copy counted, framing and tree nodes included; 0 when all of it was there.</param>
/// <param name="Chunks">Chunks the entries were cut into, repeats included.</param>
/// <param name="NewChunks">Of those, the ones the store did not have, each once.</param>
/// <param name="Copies">Disks that everything is on at least.</param>
/// <param name="Wanted">Disks it should be on.</param>
public sealed record PutResult(Digest Digest, long Bytes, long StoredBytes, int Chunks, int NewChunks, int Copies, int Wanted);

/// <param name="TotalBytes">All entries together, known from the start.</param>
/// <param name="Entry">The entry being worked on.</param>
public readonly record struct TransferProgress(long DoneBytes, long TotalBytes, string? Entry);
