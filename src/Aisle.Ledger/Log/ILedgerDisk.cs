namespace Aisle.Ledger.Log;

/// <summary>
/// The directory that a ledger has to itself: a real one, or a simulated one that crashes, tears, flips and fills up. Flat; names are plain file names.
/// Every failure is an <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/>. Safe to call from many threads for different files.
/// </summary>
internal interface ILedgerDisk
{
    /// <summary>What messages call the directory.</summary>
    string Place { get; }

    /// <summary>Names of all files, in ordinal order.</summary>
    IReadOnlyList<string> List();

    /// <summary>Opens for reading and writing.</summary>
    /// <param name="create">Makes it, or empties what is there. It lasts once it and the directory are flushed.</param>
    ILedgerFile Open(string name, bool create = false);

    void Delete(string name);

    /// <summary>Gives a file another name, in place of what had that name. Lasts once the directory is flushed.</summary>
    void Rename(string from, string to);

    /// <summary>Makes creations, deletions and renames last.</summary>
    void FlushDirectory();
}

/// <summary>An open file. Reads may run beside one writer.</summary>
internal interface ILedgerFile : IDisposable
{
    long Length { get; }

    /// <returns>Bytes read; fewer than asked only at the end of the file.</returns>
    int Read(Span<byte> into, long offset);

    /// <summary>Writes all of it. After a failure any part may have been written.</summary>
    void Write(ReadOnlySpan<byte> bytes, long offset);

    /// <summary>Returns when what was written, and the length, are on the disk. After a failure nothing is known about it: do not ask again.</summary>
    void Flush();
}

internal static class LedgerDiskFiles
{
    public static string PathOf(this ILedgerDisk disk, string name) => Path.Combine(disk.Place, name);

    /// <summary>The file as it is now, whole.</summary>
    public static byte[] ReadAll(this ILedgerDisk disk, string name)
    {
        using var file = disk.Open(name);
        if (file.Length > Array.MaxLength) throw new IOException($"{disk.PathOf(name)} has {file.Length} bytes, more than can be read at once.");
        var bytes = new byte[file.Length];
        var read = file.Read(bytes, 0);
        return read == bytes.Length ? bytes : bytes[..read];
    }
}
