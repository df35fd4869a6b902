using System.Globalization;
using System.Text;

namespace Aisle.Training.Collectives;

/// <summary>
/// How rank 0 tells the others what their world is called: a file in a folder that all of them see, readable by its owner alone, there only while they meet. One
/// line: <c>aisle-nccl RANKS HEX</c>.
/// </summary>
internal static class NcclIdFile
{
    private const string Mark = "aisle-nccl";
    private const int MostBytes = 512;
    private static readonly TimeSpan s_lookEvery = TimeSpan.FromMilliseconds(20);

    /// <exception cref="AisleException">AISLE-5197: the file exists already, or cannot be written.</exception>
    public static void Write(string path, int ranks, in NcclUniqueId id)
    {
        var part = $"{path}.{Environment.ProcessId}.part";
        try
        {
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using (var file = new FileStream(part, options)) file.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Mark} {ranks} {Convert.ToHexString(id)}\n")));
            File.Move(part, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            File.Delete(part);
            throw new AisleException("AISLE-5197", $"The id of the ranks' world cannot be written to {path}: {e.Message}", "Name a file that does not exist yet, a new one for each run, in a folder that all ranks see.", e);
        }
    }

    /// <summary>Waits until the file is there: files of other machines bring no notice.</summary>
    /// <exception cref="AisleException">AISLE-5197: it did not come, or is none. AISLE-5192: it is of a world of another size.</exception>
    public static NcclUniqueId Read(string path, int ranks, TimeSpan within, TimeProvider time)
    {
        var start = time.GetTimestamp();
        while (!File.Exists(path))
        {
            if (time.GetElapsedTime(start) > within)
            {
                throw new AisleException("AISLE-5197", $"Rank 0 did not write {path} within {within.TotalSeconds:0} s.", "Check that rank 0 runs, and that all ranks see the same folder.");
            }
            Thread.Sleep(s_lookEvery);
        }
        try
        {
            using var file = File.OpenRead(path);
            var bytes = new byte[MostBytes];
            return Parse(bytes.AsSpan(0, file.ReadAtLeast(bytes, MostBytes, throwOnEndOfStream: false)), ranks);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-5197", $"{path} cannot be read: {e.Message}", "Let the user who runs rank 0 run all ranks, and start them again.", e);
        }
    }

    public static NcclUniqueId Parse(ReadOnlySpan<byte> text, int ranks)
    {
        var parts = Encoding.ASCII.GetString(text).Split(' ');
        if (parts is not [Mark, var count, var hex] || !hex.EndsWith('\n') || !int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var theirs)) throw Malformed();
        NcclUniqueId id = default;
        if (Convert.FromHexString(hex.AsSpan(0, hex.Length - 1), id, out var used, out var written) != System.Buffers.OperationStatus.Done
            || used != hex.Length - 1 || written != NcclUniqueId.SizeBytes) throw Malformed();
        if (theirs != ranks) throw new AisleException("AISLE-5192", $"Rank 0 waits for {theirs} ranks, this rank was started as one of {ranks}.", "Start all ranks with the same number of ranks.");
        return id;
    }

    private static AisleException Malformed() => new("AISLE-5197", "The file that should name the ranks' world does not.", "Name a file that nobody else uses, a new one for each run.");
}
