using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Aisle.Api;
using Aisle.Tensors;
using Aisle.Terminal;

namespace Aisle.Commands;

/// <summary>What Aisle needs of a machine, one check each. A check that finds something wrong says how to mend it.</summary>
internal static class MachineChecks
{
    private const long LeastFreeDiskBytes = 2L << 30;
    private const long LeastFreeMemoryBytes = 2L << 30;

    /// <param name="server">What <c>--server</c> said, or null.</param>
    public static async IAsyncEnumerable<FindingView> RunAsync(string? server, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        yield return Runtime();
        yield return await Task.Run(Libtorch, cancellationToken);
        yield return Disk(ServerLocation.Home);
        yield return Memory();
        yield return Loopback();
        yield return await DataCentreAsync(server, cancellationToken);
        if (TokenFile() is { } file) yield return TokenPermissions(file);
    }

    private static FindingView Runtime() => Environment.Version.Major >= 10
        ? Well(".NET", $"{RuntimeInformation.FrameworkDescription} on {RuntimeInformation.RuntimeIdentifier}")
        : Wrong(".NET", $"{RuntimeInformation.FrameworkDescription} is older than .NET 10.", "Install the .NET 10 SDK from https://dotnet.microsoft.com/download.");

    private static FindingView Libtorch()
    {
        try
        {
            var notes = new List<string>();
            NativeTorch.Load(notes.Add);
            return Well("libtorch", notes.Count == 0 ? "loads" : $"loads. {string.Join(" ", notes)}");
        }
        catch (AisleException e)
        {
            return Wrong("libtorch", e.What, e.Next);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or TypeInitializationException)
        {
            return Wrong("libtorch", e.GetBaseException().Message, "Restore the packages again with `dotnet restore`; the natives come with them.");
        }
    }

    internal static FindingView Disk(string folder)
    {
        // The folder may not exist yet; what counts is the disk it will be on.
        var existing = new DirectoryInfo(folder);
        while (!existing.Exists && existing.Parent is not null) existing = existing.Parent;
        var free = new DriveInfo(existing.FullName).AvailableFreeSpace;
        return free >= LeastFreeDiskBytes
            ? Well("disk", $"{Amount.Bytes(free)} free where {folder} is")
            : Wrong("disk", $"Only {Amount.Bytes(free)} free where {folder} is.", $"Free {Amount.Bytes(LeastFreeDiskBytes - free)}, or set AISLE_HOME to a folder on a larger disk.");
    }

    private static FindingView Memory()
    {
        var free = FreeMemoryBytes();
        return free >= LeastFreeMemoryBytes
            ? Well("memory", $"{Amount.Bytes(free)} free")
            : Wrong("memory", $"Only {Amount.Bytes(free)} free.", "Close other programs; three nodes and three workers take up to 4 GiB.");
    }

    /// <summary>What a new process can have: of the machine, and of the container it may be in.</summary>
    private static long FreeMemoryBytes()
    {
        var limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (!File.Exists("/proc/meminfo")) return limit;
        var available = File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return available?.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var kib, ..] && long.TryParse(kib, out var value) ? Math.Min(limit, value * 1024) : limit;
    }

    private static FindingView Loopback()
    {
        try
        {
            var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            listener.Stop();
            return Well("loopback", "a port can be opened on 127.0.0.1");
        }
        catch (SocketException e)
        {
            return Wrong("loopback", $"No port can be opened on 127.0.0.1 ({e.Message})", "Bring the lo interface up, and allow programs to listen on it.");
        }
    }

    private static async Task<FindingView> DataCentreAsync(string? server, CancellationToken cancellationToken)
    {
        try
        {
            using var client = new AisleClient(ServerLocation.Find(server));
            var nodes = await client.NodesAsync(cancellationToken);
            var down = nodes.Where(node => node.State != "up").Select(node => node.Name).ToList();
            return down.Count == 0
                ? Well("data centre", $"{client.Server} answers, {nodes.Count} of {nodes.Count} nodes are up")
                : Wrong("data centre", $"{string.Join(", ", down)} of {nodes.Count} nodes {(down.Count == 1 ? "is" : "are")} down.", "Start them again; their shards are copied from the others meanwhile.");
        }
        catch (AisleException e) when (e.Code == "AISLE-7002")
        {
            return Well("data centre", "none is known here; `aisle up` starts one");
        }
        catch (AisleException e)
        {
            return Wrong("data centre", e.What, e.Next);
        }
    }

    private static string? TokenFile()
    {
        if (Environment.GetEnvironmentVariable("AISLE_TOKEN_FILE") is { Length: > 0 } file) return file;
        try
        {
            return System.Text.Json.JsonSerializer.Deserialize(File.ReadAllBytes(ServerLocation.CurrentFile), ApiJson.Default.DataCentreFile)?.TokenFile;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Text.Json.JsonException)
        {
            return null;
        }
    }

    internal static FindingView TokenPermissions(string file)
    {
        const UnixFileMode others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        if (!File.Exists(file)) return Wrong("token", $"{file} is not there.", "Start the data centre again with `aisle up`; it writes a new one.");
        if (OperatingSystem.IsWindows()) return Well("token", file);
        return (File.GetUnixFileMode(file) & others) == 0
            ? Well("token", $"{file} is its owner's alone")
            : Wrong("token", $"Others can read or change {file}.", $"chmod 600 {file}, then start the data centre again with a new token if somebody may have read it.");
    }

    private static FindingView Well(string check, string found) => new(check, true, found, null);

    private static FindingView Wrong(string check, string found, string fix) => new(check, false, found, fix);
}
