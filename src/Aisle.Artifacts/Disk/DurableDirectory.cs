using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Aisle.Artifacts;

/// <summary>Makes creations, renames and deletions in a directory last. .NET cannot open a directory to flush it, so this asks libc.</summary>
public static partial class DurableDirectory
{
    private const int ReadOnly = 0;

    /// <exception cref="IOException">The directory could not be opened or flushed.</exception>
    public static void Flush(string directory)
    {
        // Windows keeps directory entries durable with the file itself.
        if (OperatingSystem.IsWindows()) return;
        var descriptor = Open(directory, ReadOnly);
        if (descriptor < 0) throw Failure("open", directory);
        try
        {
            if (FSync(descriptor) != 0) throw Failure("flush", directory);
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    private static IOException Failure(string verb, string directory)
    {
        var error = Marshal.GetLastPInvokeError();
        return new IOException($"Could not {verb} the directory {directory}: {new Win32Exception(error).Message}", error);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
