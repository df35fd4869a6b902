using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Aisle.Artifacts;

/// <summary>The few system calls that .NET does not offer.</summary>
internal static partial class Posix
{
    private const int NonBlocking = 0x800, CloseOnExec = 0x80000; // Linux, the same on x64 and arm64

    /// <summary>Whether the disk itself could not read what it holds (EIO), rather than the system lacking something.</summary>
    public static bool IsMediaError(IOException error) => error.HResult == 5;

    /// <summary>Opens a file for reading without waiting: a pipe with no writer opens at once instead of never.</summary>
    public static FileStream OpenForReading(string path)
    {
        if (!OperatingSystem.IsLinux()) return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        var descriptor = Open(path, NonBlocking | CloseOnExec);
        if (descriptor < 0) throw Error("open", path);
        return new FileStream(new SafeFileHandle(descriptor, ownsHandle: true), FileAccess.Read, bufferSize: 0);
    }

    /// <summary>Sets room aside for a file, so that a full disk refuses before anything is written. Where the file system cannot, nothing happens.</summary>
    /// <exception cref="IOException">There is no room; the HResult is the errno.</exception>
    public static void Reserve(FileStream file, long lengthBytes)
    {
        const int KeepSize = 1;
        if (!OperatingSystem.IsLinux()) return;
        if (Fallocate(file.SafeFileHandle, KeepSize, 0, lengthBytes) == 0) return;
        var error = Error("fallocate", file.Name);
        if (DiskFullException.Explains(error)) throw error;
    }

    private static IOException Error(string call, string path)
    {
        var error = Marshal.GetLastPInvokeError();
        return new IOException($"{call} {path}: {new Win32Exception(error).Message}", error);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int Fallocate(SafeFileHandle file, int mode, long offset, long length);
}
