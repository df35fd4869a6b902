namespace Aisle.Artifacts;

/// <summary>An immutable tree of entries with a little metadata, opened by its digest. Knows its totals; everything else is read when asked for. Thread-safe.</summary>
public sealed class Artifact
{
    private readonly IContentStore _store;
    private readonly RootNode _root;

    internal Artifact(IContentStore store, Digest digest, RootNode root)
    {
        _store = store;
        _root = root;
        Digest = digest;
    }

    public Digest Digest { get; }

    /// <summary>Bytes of all entries together.</summary>
    public long Bytes => _root.Bytes;

    public long Entries => _root.Entries;

    /// <summary>Part of the content: artifacts that differ here have different digests.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _root.Metadata;

    /// <summary>Entries in order of path (by UTF-8 bytes), read page by page.</summary>
    /// <exception cref="ArtifactInvalidException">A page breaks the format, repeats a path or holds one that is refused.</exception>
    public async IAsyncEnumerable<ArtifactEntry> ListAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await foreach (var entry in TreeReader.EntriesAsync(_store, _root, cancellationToken)) yield return new ArtifactEntry(entry.Path, entry.SizeBytes);
    }

    internal IAsyncEnumerable<TreeEntry> TreeEntriesAsync(CancellationToken cancellationToken) => TreeReader.EntriesAsync(_store, _root, cancellationToken);

    /// <exception cref="AisleException">AISLE-1010: there is no such entry.</exception>
    internal async ValueTask<TreeEntry> FindAsync(string path, CancellationToken cancellationToken) =>
        await TreeReader.FindAsync(_store, _root, path, cancellationToken)
        ?? throw new AisleException("AISLE-1010", $"Artifact {Digest.Short} has no entry '{path}'.", $"List its {Entries} entries with `aisle show {Digest}`.");
}

/// <param name="Path">Relative, <c>/</c> between its parts.</param>
public readonly record struct ArtifactEntry(string Path, long SizeBytes);
