using System.Runtime.Intrinsics.X86;

namespace Aisle.Benchmarks;

/// <summary>PyTorch as Debian packs it: Gloo, a trainer and an elastic launcher to stand beside. Installed when absent and the user may.</summary>
internal static class TorchPeer
{
    public const string Python = "/usr/bin/python3";

    // Debian's PyTorch multiplies with whatever BLAS is there; without this one that is the reference BLAS, some 15 times slower, and no fair peer.
    private const string Packages = "python3-torch libopenblas0-pthread";
    private const string Probe = "import torch; print(torch.__version__, 'openblas' in open('/proc/self/maps').read())";

    /// <summary>One thread a process, on loopback.</summary>
    public static IReadOnlyDictionary<string, string> Environment { get; } = Settings();

    /// <returns>Its version, or null where it is absent and cannot be installed: standard error says so.</returns>
    public static async Task<string?> FindVersionAsync()
    {
        if (await VersionAsync() is { } found) return found;
        await ChildProcess.InstallAsync(Packages);
        if (await VersionAsync() is { } installed) return installed;
        Console.Error.WriteLine($"The peer is absent: `apt-get install --no-install-recommends {Packages}` brings it. Only ours is measured.");
        return null;
    }

    private static async Task<string?> VersionAsync()
    {
        if (!File.Exists(Python)) return null;
        return await ChildProcess.OutputOfAsync(Python, "-c", Probe) is { } said && said.Trim().Split(' ') is [var version, "True"] ? version : null;
    }

    private static Dictionary<string, string> Settings()
    {
        var settings = new Dictionary<string, string> { ["OMP_NUM_THREADS"] = "1", ["OPENBLAS_NUM_THREADS"] = "1", ["GLOO_SOCKET_IFNAME"] = "lo" };
        // Debian's OpenBLAS does not know processors younger than itself and takes AVX2 for them; told so, it uses AVX-512, as our arithmetic does.
        if (Avx512BW.VL.IsSupported && Avx512DQ.VL.IsSupported) settings["OPENBLAS_CORETYPE"] = "SkylakeX";
        return settings;
    }
}
