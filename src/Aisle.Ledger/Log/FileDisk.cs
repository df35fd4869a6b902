using Aisle.Artifacts;
using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Aisle.Ledger.Log;

/// <summary>A real directory, made if need be and locked against a second process.</summary>
internal sealed partial class FileDisk : ILedgerDisk, IDisposable
{
    private readonly DirectoryLock _lock;

    private FileDisk(string place, DirectoryLock directoryLock) => (Place, _lock) = (place, directoryLock);

    public string Place { get; }

    /// <exception cref="AisleException">AISLE-2050: another process has it. AISLE-2056: it cannot be made or written.</exception>
    public static FileDisk Open(string directory)
    {
        try
        {
            if (!Directory.Exists(directory))
            {
                Directory.CreateDirectory(directory);
                if (Path.GetDirectoryName(directory) is { } parent) DurableDirectory.Flush(parent);
            }
            return new FileDisk(directory, DirectoryLock.Take(directory));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw Unusable(directory, e);
        }
    }

    public static AisleException Unusable(string directory, Exception e) => new(LedgerCodes.DirectoryUnusable,
        $"The ledger in {directory} cannot be opened: {e.Message}", "Check that the directory can be written by this user and that its disk has room.", e);

    public IReadOnlyList<string> List() => [.. Directory.EnumerateFiles(Place).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)];

    // Readable by others while it is open: the directory's lock keeps writers out, and a copy for a backup is welcome.
    public ILedgerFile Open(string name, bool create = false) => new OpenFile(File.OpenHandle(
        this.PathOf(name), create ? FileMode.Create : FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete));

    public void Delete(string name) => File.Delete(this.PathOf(name));

    public void Rename(string from, string to) => File.Move(this.PathOf(from), this.PathOf(to), overwrite: true);

    public void FlushDirectory() => DurableDirectory.Flush(Place);

    public void Dispose() => _lock.Dispose();

    private sealed class OpenFile(SafeFileHandle handle) : ILedgerFile
    {
        public long Length => RandomAccess.GetLength(handle);

        public int Read(Span<byte> into, long offset)
        {
            var all = 0;
            while (all < into.Length && RandomAccess.Read(handle, into[all..], offset + all) is > 0 and var read) all += read;
            return all;
        }

        public void Write(ReadOnlySpan<byte> bytes, long offset) => RandomAccess.Write(handle, bytes, offset);

        public void Flush()
        {
            // .NET's flush writes the time of change too, which costs a commit of the file system's journal each time.
            if (!OperatingSystem.IsLinux()) RandomAccess.FlushToDisk(handle);
            else if (FDataSync(handle) != 0) throw new IOException($"Could not flush to disk: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        }

        public void Dispose() => handle.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FDataSync(SafeFileHandle file);
}
