using Aisle.Commands;
using Aisle.Terminal;

namespace Aisle.Quickstart;

/// <summary>The folder that the quickstart works in: a temporary one that is removed at the end, or the empty one it was given, which is kept.</summary>
internal sealed class WorkingFolder : IDisposable
{
    private const long LeastFreeBytes = 1L << 30;

    private WorkingFolder(string path, bool isTemporary) => (Path, IsTemporary) = (path, isTemporary);

    public string Path { get; }

    public bool IsTemporary { get; private set; }

    /// <summary>Somebody goes on using it: it is not removed.</summary>
    public void Keep() => IsTemporary = false;

    /// <exception cref="AisleException">AISLE-7072: the disk is nearly full; AISLE-7075: the folder is not empty or cannot be made.</exception>
    public static WorkingFolder Open(string? dir)
    {
        var folder = dir is null ? new WorkingFolder(Directory.CreateTempSubdirectory("aisle-quickstart-").FullName, true) : new WorkingFolder(Make(dir), false);
        var free = new DriveInfo(folder.Path).AvailableFreeSpace;
        if (free >= LeastFreeBytes) return folder;
        folder.Dispose();
        throw new AisleException("AISLE-7072", $"Only {Amount.Bytes(free)} are free where {folder.Path} is; the quickstart wants {Amount.Bytes(LeastFreeBytes)}.",
            "Free some space, or choose a folder on another disk with --dir.");
    }

    public void Dispose()
    {
        if (!IsTemporary) return;
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Somebody else removed it.
        }
    }

    private static string Make(string dir)
    {
        try
        {
            var made = Directory.CreateDirectory(dir);
            if (made.EnumerateFileSystemInfos().Any())
                throw new WrongUsageException($"{made.FullName} is not empty.", "Choose a new or empty folder with --dir: in an old one the results are known and there is no story to see.", "AISLE-7075");
            return made.FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WrongUsageException($"{dir} cannot be made ({e.Message})", "Choose another folder with --dir.", "AISLE-7075", e);
        }
    }
}
