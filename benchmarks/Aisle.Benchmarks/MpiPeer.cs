namespace Aisle.Benchmarks;

/// <summary>OpenMPI as Debian packs it. Its rank is compiled from peers/allreduce.c when a benchmark begins. Installed when absent and the user may.</summary>
internal sealed class MpiPeer : IDisposable
{
    private const string Packages = "openmpi-bin libopenmpi-dev gcc";
    private static readonly string[] s_asLauncher = ["--allow-run-as-root", "--oversubscribe", "--quiet"];
    private readonly DirectoryInfo _folder;

    private MpiPeer(string version, DirectoryInfo folder) => (Version, _folder) = (version, folder);

    public string Version { get; }

    private string Program => Path.Combine(_folder.FullName, "allreduce");

    /// <returns>Null where it is absent and cannot be installed: standard error says so.</returns>
    public static async Task<MpiPeer?> FindAsync()
    {
        if (!File.Exists("/usr/bin/mpicc")) await ChildProcess.InstallAsync(Packages);
        if (File.Exists("/usr/bin/mpicc") && await ChildProcess.OutputOfAsync("/usr/bin/mpirun", "--version") is { } said)
        {
            var peer = new MpiPeer(said.Split('\n')[0].Split(' ')[^1], Directory.CreateTempSubdirectory("aisle-bench-"));
            if (await ChildProcess.OutputOfAsync("/usr/bin/mpicc", "-O3", "-o", peer.Program, ChildProcess.Script("allreduce.c"), "-lm") is not null) return peer;
            peer.Dispose();
        }
        Console.Error.WriteLine($"OpenMPI is absent: `apt-get install --no-install-recommends {Packages}` brings it. It is left out.");
        return null;
    }

    /// <param name="isShared">Over shared memory; else over loopback TCP.</param>
    public ChildProcess Start(int ranks, int elements, bool isShared)
    {
        string[] way = isShared ? ["--mca", "btl", "vader,self"] : ["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo"];
        return ChildProcess.Of("/usr/bin/mpirun", [.. s_asLauncher, .. way, "-n", $"{ranks}", Program, $"{elements}"]);
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
