using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Aisle.Tensors;

/// <summary>What of this machine's processor decides floating-point bits.</summary>
internal static class Processor
{
    // Read by libtorch, oneDNN or MKL to choose kernels.
    private static readonly string[] Deciding =
    [
        "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni",
        "amx_tile", "amx_bf16", "amx_int8",
    ];

    /// <summary>The maker's 12 letters, e.g. <c>AuthenticAMD</c>; empty where they cannot be asked.</summary>
    public static string Vendor { get; } = ReadVendor();

    public static bool IsIntel => Vendor == "GenuineIntel";

    /// <summary>The deciding flags that this machine's kernel reports, sorted.</summary>
    public static IReadOnlyList<string> Flags { get; } = ReadFlags();

    /// <summary>The kernels libtorch picks when nothing holds it back: avx512, avx2 or default.</summary>
    public static string Capability { get; } =
        Has("avx512f", "avx512bw", "avx512dq", "avx512vl", "fma") ? "avx512" : Has("avx2", "fma") ? "avx2" : "default";

    private static bool Has(params ReadOnlySpan<string> flags)
    {
        foreach (var flag in flags)
        {
            if (!Flags.Contains(flag)) return false;
        }

        return true;
    }

    private static string ReadVendor()
    {
        if (!X86Base.IsSupported) return "";
        var (_, b, c, d) = X86Base.CpuId(0, 0);
        return System.Text.Encoding.ASCII.GetString(MemoryMarshal.AsBytes<int>([b, d, c]));
    }

    private static IReadOnlyList<string> ReadFlags()
    {
        const string Source = "/proc/cpuinfo";
        if (!File.Exists(Source)) return [];
        var line = File.ReadLines(Source).FirstOrDefault(l => l.StartsWith("flags", StringComparison.Ordinal));
        var present = (line ?? "").Split([' ', '\t', ':'], StringSplitOptions.RemoveEmptyEntries).ToHashSet();
        return [.. Deciding.Where(present.Contains).Order(StringComparer.Ordinal)];
    }
}
