using Aisle.Artifacts;

namespace Aisle.Training.Checkpoints;

/// <summary>
/// States and models as folders beside each other on one disk, each under the digest that it would have as an artifact of a data centre. For training
/// without one. Thread-safe, also between processes.
/// </summary>
public sealed class FolderCheckpointStore(string root) : ICheckpointStore
{
    public async Task<Digest> SaveAsync(string folder, CancellationToken cancellationToken)
    {
        var digest = await ArtifactStore.DigestOfAsync(folder, cancellationToken).ConfigureAwait(false);
        var target = PathOf(digest);
        if (Directory.Exists(target)) return digest;
        var staging = $"{target}.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}.part";
        Directory.CreateDirectory(staging);
        foreach (var path in PathsIn(folder))
        {
            await using var source = File.OpenRead(Path.Combine(folder, path));
            await using var copy = new FileStream(Place(staging, path), FileMode.Create, FileAccess.Write);
            await source.CopyToAsync(copy, cancellationToken).ConfigureAwait(false);
            copy.Flush(flushToDisk: true);
        }
        try
        {
            Directory.Move(staging, target);
        }
        catch (IOException) when (Directory.Exists(target))
        {
            Directory.Delete(staging, recursive: true); // another worker stored the same content meanwhile
        }
        return digest;
    }

    /// <exception cref="AisleException">AISLE-5110: it is not here. AISLE-5111: it is damaged.</exception>
    public async Task LoadAsync(Digest digest, string folder, CancellationToken cancellationToken)
    {
        var source = PathOf(digest);
        if (!Directory.Exists(source)) throw new AisleException("AISLE-5110", $"{digest} is not in {root}.", "Check the folder, or resume from another checkpoint.");
        foreach (var path in PathsIn(source)) File.Copy(Path.Combine(source, path), Place(folder, path));
        var found = await ArtifactStore.DigestOfAsync(folder, cancellationToken).ConfigureAwait(false);
        if (found != digest) throw new AisleException("AISLE-5111", $"What is stored as {digest.Short} in {root} has digest {found.Short}: it is damaged.", "Resume from another checkpoint.");
    }

    public string PathOf(Digest digest) => Path.Combine(root, digest.Hex);

    private static IEnumerable<string> PathsIn(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(folder, file).Replace(Path.DirectorySeparatorChar, '/')).Order(StringComparer.Ordinal);

    private static string Place(string folder, string path)
    {
        var place = Path.Combine(folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(place)!);
        return place;
    }
}
