namespace Aisle.Artifacts;

public sealed partial class ArtifactStore
{
    /// <summary>Restores an artifact as a folder. It is written beside <paramref name="directory"/> and renamed when it is whole, so a folder of that name is a finished one.</summary>
    /// <param name="directory">Must be absent or empty.</param>
    /// <exception cref="AisleException">AISLE-1009: the folder is not empty, or is a file; AISLE-1006: the disk is full.</exception>
    /// <exception cref="ArtifactInvalidException">The artifact breaks the format or holds a path that would leave the folder.</exception>
    /// <exception cref="ArtifactMissingException">A part of it is nowhere.</exception>
    public async Task GetAsync(Digest artifact, string directory, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        RefuseOccupied(target);
        var opened = await OpenAsync(artifact, cancellationToken);
        var parent = Path.GetDirectoryName(target)
            ?? throw new AisleException("AISLE-1009", $"'{directory}' is the root of a file system.", "Name a folder inside it.");
        var partial = Path.Combine(parent, $".{Path.GetFileName(target)}.aisle-{Environment.ProcessId}-{Path.GetRandomFileName()}");
        try
        {
            Directory.CreateDirectory(partial);
            await RestoreAsync(opened, partial, progress, cancellationToken);
            RefuseOccupied(target);
            if (Directory.Exists(target)) Directory.Delete(target);
            Directory.Move(partial, target);
        }
        catch (IOException error) when (DiskFullException.Explains(error))
        {
            throw DiskFullException.From(error, parent, opened.Bytes);
        }
        finally
        {
            if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
        }
    }

    private static void RefuseOccupied(string target)
    {
        if (File.Exists(target) || (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()))
            throw new AisleException("AISLE-1009", $"'{target}' is there already and not an empty folder.", "Name a folder that does not exist yet, or empty this one.");
    }

    private async Task RestoreAsync(Artifact artifact, string folder, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        await using var ahead = new ReadAhead(store, ChunksAsync(artifact, cancellationToken), cancellationToken);
        FileStream? file = null;
        long done = 0;
        try
        {
            while (await ahead.NextAsync() is var (chunk, content))
            {
                if (chunk.Offset == 0)
                {
                    if (file is not null) await file.DisposeAsync();
                    file = Create(folder, chunk.Entry.Path);
                }
                await file!.WriteAsync(content, cancellationToken);
                done += content.Length;
                progress?.Report(new TransferProgress(done, artifact.Bytes, chunk.Entry.Path));
            }
        }
        finally
        {
            if (file is not null) await file.DisposeAsync();
        }
    }

    private async IAsyncEnumerable<PlacedChunk> ChunksAsync(Artifact artifact, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var entry in artifact.TreeEntriesAsync(cancellationToken))
        {
            await foreach (var chunk in TreeReader.ChunksAsync(store, entry, 0, cancellationToken)) yield return chunk;
        }
    }

    private static FileStream Create(string folder, string path)
    {
        var full = Path.GetFullPath(Path.Combine(folder, path));
        // The path was checked when its page was read; this holds even where a file system knows more tricks than that check.
        if (!full.StartsWith(folder + Path.DirectorySeparatorChar, StringComparison.Ordinal)) throw new ArtifactInvalidException($"entry '{path}' would leave its folder");
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        return new FileStream(full, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
    }
}
