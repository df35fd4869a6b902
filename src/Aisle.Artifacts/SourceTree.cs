namespace Aisle.Artifacts;

/// <param name="Path">Its path in the artifact.</param>
/// <param name="FullPath">Where it lies on this machine.</param>
internal readonly record struct SourceFile(string Path, string FullPath, long LengthBytes);

/// <summary>
/// Lists what a put will read, in the artifact's order. Files only: an empty folder leaves no trace, and a symbolic link inside the folder
/// is refused rather than followed, for what it points at may change, lie elsewhere, or lead round in a circle.
/// </summary>
internal static class SourceTree
{
    private const int FaultsShown = 10;

    /// <param name="path">A file, which becomes the one entry of its name, or a folder. May itself be a link.</param>
    /// <exception cref="AisleException">AISLE-1008: there is nothing there, or something in it cannot be put; all faults at once.</exception>
    public static List<SourceFile> List(string path)
    {
        if (File.Exists(path)) return [new SourceFile(EntryPath.Check(Path.GetFileName(Path.GetFullPath(path))), path, LengthOf(path))];
        if (!Directory.Exists(path)) throw new AisleException("AISLE-1008", $"There is no file or folder '{path}'.", "Check the path; it is looked up on the machine the command runs on.");
        var files = new List<SourceFile>();
        var faults = new List<string>();
        Walk(new DirectoryInfo(path), "", files, faults);
        if (faults.Count > 0)
        {
            var more = faults.Count > FaultsShown ? $"; and {faults.Count - FaultsShown} more" : "";
            throw new AisleException("AISLE-1008", $"'{path}' cannot be put as it is: {string.Join("; ", faults.Take(FaultsShown))}{more}.",
                "Put a copy without these: `cp -rL` replaces links by what they point at.");
        }
        files.Sort((left, right) => EntryPath.Compare(left.Path, right.Path));
        return files;
    }

    private static void Walk(DirectoryInfo directory, string prefix, List<SourceFile> files, List<string> faults)
    {
        try
        {
            foreach (var found in directory.EnumerateFileSystemInfos())
            {
                var path = prefix + found.Name;
                if (EntryPath.Fault(path) is { } fault) faults.Add($"'{path}' cannot name an entry ({fault})");
                else if (found.LinkTarget is not null) faults.Add($"'{path}' is a symbolic link");
                else if (found is DirectoryInfo inner) Walk(inner, path + "/", files, faults);
                else if (!found.Exists) faults.Add($"'{path}' has a name that is not UTF-8");
                else files.Add(new SourceFile(path, found.FullName, ((FileInfo)found).Length));
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            faults.Add($"'{(prefix.Length == 0 ? "." : prefix)}' cannot be listed ({error.Message})");
        }
    }

    private static long LengthOf(string path)
    {
        using var stream = Open(path, path);
        return stream.Length;
    }

    /// <summary>Opens a file that is a file: pipes and devices are refused, not waited for.</summary>
    public static FileStream Open(string fullPath, string shownPath)
    {
        FileStream? stream = null;
        try
        {
            stream = Posix.OpenForReading(fullPath);
            if (stream.CanSeek) return stream;
            stream.Dispose();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            stream?.Dispose();
            throw new AisleException("AISLE-1008", $"'{shownPath}' cannot be read: {error.Message}", "Make it readable, or leave it out.", error);
        }
        throw new AisleException("AISLE-1008", $"'{shownPath}' is a pipe or device, not a file.", "Leave it out, or put a file with its content.");
    }
}
