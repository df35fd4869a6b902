namespace Aisle.Artifacts;

/// <summary>The disk has no room for what was to be written. What was stored before is untouched.</summary>
public sealed class DiskFullException : AisleException
{
    private const int NoSpace = 28, QuotaExceeded = 122; // errno ENOSPC, EDQUOT (Linux); .NET hands errno on as the HResult
    private const int WindowsDiskFull = unchecked((int)0x80070070);

    private DiskFullException(string directory, long neededBytes, long freeBytes, Exception inner) : base(
        "AISLE-1006",
        $"The disk of {directory} is full: {neededBytes:N0} bytes needed, {freeBytes:N0} free.",
        "Free space there, or give the node another directory with room, then try again; nothing stored was lost.",
        inner)
    {
    }

    internal static bool Explains(IOException error) => error.HResult is NoSpace or QuotaExceeded or WindowsDiskFull;

    internal static DiskFullException From(IOException error, string directory, long neededBytes)
    {
        long free = 0;
        try
        {
            free = new DriveInfo(Path.GetFullPath(directory)).AvailableFreeSpace;
        }
        catch (Exception unknown) when (unknown is IOException or ArgumentException or UnauthorizedAccessException)
        {
            // The figure is a courtesy; without it the message still says what to do.
        }
        return new DiskFullException(directory, neededBytes, free, error);
    }
}
