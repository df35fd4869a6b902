using System.Reflection;
using System.Runtime.InteropServices;

namespace Aisle.Tensors;

/// <summary>Where the native libraries of this process lie: libtorch, and the shim that TorchSharp calls it through.</summary>
/// <param name="LibTorchFolder">Holds libtorch_cpu.so and its companions.</param>
/// <param name="Shim">Path of libLibTorchSharp.so, as its package ships it.</param>
internal sealed record NativeFiles(string LibTorchFolder, string Shim)
{
    /// <summary>Names a folder that holds libtorch and the shim; it wins over every other place.</summary>
    public const string FolderVariable = "AISLE_LIBTORCH";

    private const string ShimName = "libLibTorchSharp.so";
    private const string PackagedUnder = "runtimes/linux-x64/native";

    /// <summary>In the order of loading: each needs only those before it.</summary>
    public IReadOnlyList<string> LibTorch =>
    [
        .. Directory.GetFiles(LibTorchFolder, "libgomp*.so*").Order(StringComparer.Ordinal),
        .. new[] { "libc10.so", "libtorch_cpu.so", "libtorch.so" }.Select(name => Path.Combine(LibTorchFolder, name)),
    ];

    /// <summary>A C++ runtime shipped beside libtorch; null where the system's is used.</summary>
    public string? CppRuntime => Path.Combine(LibTorchFolder, "libstdc++.so.6") is var path && File.Exists(path) ? path : null;

    /// <summary>Looks in AISLE_LIBTORCH, then in libtorch/ beside the program, then in the package folders known at build time and the user's package cache.</summary>
    /// <exception cref="AisleException">AISLE-5001: not a system libtorch runs on. AISLE-5002: not found; the message lists the places.</exception>
    public static NativeFiles Find()
    {
        RefuseForeignSystem();
        List<string> asked = [];
        foreach (var (libTorchFolder, shimFolder) in Places())
        {
            var shim = Path.Combine(shimFolder, ShimName);
            if (File.Exists(Path.Combine(libTorchFolder, "libtorch_cpu.so")) && File.Exists(shim)) return new NativeFiles(libTorchFolder, shim);
            asked.Add(libTorchFolder == shimFolder ? libTorchFolder : $"{libTorchFolder} with {shimFolder}");
        }

        throw new AisleException("AISLE-5002", $"libtorch is in none of these places: {string.Join("; ", asked)}.",
            $"Set {FolderVariable} to a folder that holds libtorch_cpu.so, libc10.so, libtorch.so, libgomp and {ShimName}, or run `dotnet restore` again.");
    }

    private static void RefuseForeignSystem()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            throw new AisleException("AISLE-5001", $"libtorch is packaged for Linux on x64; this is {RuntimeInformation.OSDescription} on {RuntimeInformation.ProcessArchitecture}.",
                "Run this part on a Linux x64 machine; the other commands work here.");
        if (RuntimeInformation.RuntimeIdentifier.Contains("musl", StringComparison.Ordinal))
            throw new AisleException("AISLE-5001", "libtorch needs glibc; this system uses musl.", "Use an image based on Debian, Ubuntu or RHEL instead of Alpine.");
    }

    private static IEnumerable<(string LibTorch, string Shim)> Places()
    {
        // An explicit folder is an order, not a hint: falling through to another build would change bits behind the user's back.
        if (Environment.GetEnvironmentVariable(FolderVariable) is { Length: > 0 } chosen)
        {
            yield return (chosen, chosen);
            yield break;
        }

        var beside = Path.Combine(AppContext.BaseDirectory, "libtorch");
        yield return (beside, beside);

        string? torchPackage = Recorded("LibTorchPackage"), shimPackage = Recorded("TorchSharpPackage");
        if (torchPackage is null || shimPackage is null) yield break;
        yield return (Path.Combine(torchPackage, PackagedUnder), Path.Combine(shimPackage, PackagedUnder));

        // Built elsewhere, run here: the same packages at the same versions, in this user's cache.
        var cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } moved
            ? moved
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        yield return (Path.Combine(cache, NameAndVersion(torchPackage), PackagedUnder), Path.Combine(cache, NameAndVersion(shimPackage), PackagedUnder));
    }

    private static string? Recorded(string key) => typeof(NativeFiles).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .FirstOrDefault(attribute => attribute.Key == key)?.Value is { Length: > 0 } path ? Path.TrimEndingDirectorySeparator(path) : null;

    private static string NameAndVersion(string package) => Path.Combine(Path.GetFileName(Path.GetDirectoryName(package)!), Path.GetFileName(package));
}
