using System.Globalization;

namespace Aisle.Ledger.Log;

/// <summary>Keeps a second process out of a ledger's directory. The kernel lets go of it when the holder dies, however it dies.</summary>
internal sealed class DirectoryLock : IDisposable
{
    private readonly FileStream _file;

    private DirectoryLock(FileStream file) => _file = file;

    /// <exception cref="AisleException">AISLE-2050: somebody has it.</exception>
    public static DirectoryLock Take(string directory)
    {
        var path = Path.Combine(directory, "ledger.lock");
        // Beside the lock, not in it: a locked file cannot be read.
        var holder = Path.Combine(directory, "ledger.pid");
        FileStream file;
        try
        {
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.None);
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or FileNotFoundException or PathTooLongException) && File.Exists(path))
        {
            throw new AisleException(LedgerCodes.InUse, $"The ledger in {directory} is in use by {Read(holder)}.",
                "Stop that one first, or give this one another directory.", e);
        }
        try
        {
            File.WriteAllText(holder, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The number is a courtesy to the reader of the message above; the lock holds without it, on a full disk too.
        }
        return new DirectoryLock(file);
    }

    public void Dispose() => _file.Dispose();

    private static string Read(string holder)
    {
        try
        {
            var pid = File.ReadAllText(holder);
            return pid.Length is > 0 and < 12 && pid.All(char.IsAsciiDigit) ? $"process {pid}" : "another process";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "another process";
        }
    }
}
