using Aisle.Artifacts;

namespace Aisle.Identity;

/// <summary>A small file that only its owner may read, and that is whole at every moment: the old content or the new.</summary>
internal static class PrivateFile
{
    /// <summary>Returns when the content is on disk under its name.</summary>
    /// <exception cref="AisleException">AISLE-8003: it cannot be written.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        var fresh = path + ".new";
        try
        {
            File.Delete(fresh); // a crash left it; a mode is given only to a file that is made
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0 };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using (var file = new FileStream(fresh, options))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }
            File.Move(fresh, path, overwrite: true);
            DurableDirectory.Flush(Path.GetDirectoryName(Path.GetFullPath(path))!);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-8003", $"'{path}' cannot be written: {error.Message}", "Make room, or give the directory to the user that runs Aisle.", error);
        }
    }

    /// <exception cref="AisleException">AISLE-8003: it cannot be read, others may read it, or it is far too large.</exception>
    public static byte[] Read(string path, int maxBytes)
    {
        const UnixFileMode others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(file.SafeFileHandle) & others) != 0)
            {
                throw new AisleException("AISLE-8003", $"'{path}' holds a secret, and others than its owner may read or write it.",
                    $"If nobody else can have read it, run `chmod 600 {path}`; else make a new cluster, for its secret is out.");
            }
            if (file.Length > maxBytes) throw new AisleException("AISLE-8003", $"'{path}' has {file.Length} bytes; at most {maxBytes} are expected.", "Put back a copy of it that is whole.");
            var content = new byte[file.Length];
            file.ReadExactly(content);
            return content;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-8003", $"'{path}' cannot be read: {error.Message}", "Give it back to the user that runs Aisle, readable for that user alone.", error);
        }
    }
}
