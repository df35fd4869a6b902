using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Aisle.Tensors;

/// <summary>The environment variables that decide libtorch's bits. Aisle sets or clears every one of them, so a variable left in a user's shell cannot change a result.</summary>
internal static partial class NativeSettings
{
    /// <summary>One thread a process: the only count whose results are the same on machines of any size.</summary>
    public const int Threads = 1;

    /// <summary>Name and value of each variable, sorted by name; null means: cleared.</summary>
    public static ImmutableArray<(string Name, string? Value)> Variables(bool portable, bool intel) =>
    [
        ("ATEN_CPU_CAPABILITY", portable ? "avx2" : null),
        ("DNNL_MAX_CPU_ISA", null),
        ("MKL_CBWR", portable ? intel ? "AVX2" : "AUTO" : null),   // on other makes MKL honours only AUTO and COMPATIBLE
        ("MKL_DEBUG_CPU_TYPE", null),
        ("MKL_DYNAMIC", "FALSE"),
        ("MKL_ENABLE_INSTRUCTIONS", null),
        ("MKL_NUM_THREADS", "1"),
        ("OMP_DYNAMIC", "FALSE"),
        ("OMP_NUM_THREADS", "1"),
        ("ONEDNN_MAX_CPU_ISA", portable ? "AVX2" : null),
    ];

    /// <summary>Hands the variables to the C library: .NET's own copy of the environment does not reach native code.</summary>
    public static void Apply(bool portable, bool intel)
    {
        foreach (var (name, value) in Variables(portable, intel))
            _ = value is null ? Clear(name) : Set(name, value, 1);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Set(string name, string value, int overwrite);

    [LibraryImport("libc", EntryPoint = "unsetenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Clear(string name);
}
