using System.Diagnostics;
using TorchSharp;

namespace Aisle.Tensors.Tests;

public sealed class NativeTorchTests
{
    [Fact]
    public void Loading_many_times_at_once_gives_one_working_libtorch_on_one_thread()
    {
        Parallel.For(0, 8, _ => NativeTorch.Load());
        Assert.Equal(1, torch.get_num_threads());
        using var three = torch.tensor(new[] { 1f, 2f }).sum();
        Assert.Equal(3f, three.item<float>());
    }

    [Fact]
    public void Natives_are_not_copied_beside_the_program() =>
        Assert.Empty(Directory.EnumerateFiles(AppContext.BaseDirectory, "libtorch*", SearchOption.AllDirectories));

    [Fact]
    public void The_settings_reach_native_code()
    {
        NativeTorch.Load();
        // /proc/self/environ shows the start only, so a child of the C library's own environment is asked.
        Assert.Equal("1", NativeEnvironment("OMP_NUM_THREADS"));
        Assert.Null(NativeEnvironment("DNNL_MAX_CPU_ISA"));
    }

    [Fact]
    public void A_folder_without_libtorch_is_named_in_the_error()
    {
        var fault = InAnotherProcess("load", (NativeFiles.FolderVariable, "/nowhere"));
        Assert.Contains("AISLE-5002", fault);
        Assert.Contains("/nowhere", fault);
    }

    [Fact]
    public void Several_processes_that_start_with_an_empty_cache_all_load()
    {
        using var cache = new TemporaryFolder();
        var processes = Enumerable.Range(0, 3).Select(_ => ChildProcess.Start("load", ("XDG_CACHE_HOME", cache.Path))).ToList();
        foreach (var process in processes)
        {
            using (process)
            {
                var output = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                Assert.Equal("loaded", output.Trim());
            }
        }

        Assert.DoesNotContain(Directory.EnumerateFiles(cache.Path, "*", SearchOption.AllDirectories), path => !path.EndsWith(".so", StringComparison.Ordinal));
    }

    [Fact]
    public void Each_choice_of_who_computes_has_its_own_fingerprint_and_exact_is_the_default()
    {
        string[] fingerprints = [.. new[] { "exact", "libtorch", "libtorch-avx2" }.Select(choice => InAnotherProcess("fingerprint", (ArithmeticChoices.Variable, choice)))];
        Assert.Equal(3, fingerprints.Distinct().Count());
        Assert.Equal(fingerprints[0], InAnotherProcess("fingerprint", (ArithmeticChoices.Variable, "")));
        Assert.Contains("AISLE-5006", InAnotherProcess("fingerprint", (ArithmeticChoices.Variable, "turbo")));
    }

    private static string InAnotherProcess(string what, params (string Name, string Value)[] environment)
    {
        using var process = ChildProcess.Start(what, environment);
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return output.Trim();
    }

    private static string? NativeEnvironment(string name) => System.Runtime.InteropServices.Marshal.PtrToStringUTF8(GetEnvironment(name));

    [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "getenv")]
    private static extern nint GetEnvironment([System.Runtime.InteropServices.MarshalAs(System.Runtime.InteropServices.UnmanagedType.LPUTF8Str)] string name);
}
