using CsCheck;

namespace Aisle.Tensors.Tests;

public sealed class CppRuntimeFixTests
{
    private static readonly byte[] Shim = File.ReadAllBytes(NativeFiles.Find().Shim);

    [Fact]
    public void The_copy_differs_from_the_packages_shim_in_one_flag_only()
    {
        var patched = CppRuntimeFix.Patch(Shim);
        var changed = Enumerable.Range(0, Shim.Length).Where(i => Shim[i] != patched[i]).ToList();
        Assert.Equal(0, Shim[Assert.Single(changed)]);
        Assert.Equal(2, patched[changed[0]]);
        Assert.Equal(patched, CppRuntimeFix.Patch(patched));
    }

    [Fact]
    public void A_library_without_the_need_is_refused()
    {
        var libTorch = File.ReadAllBytes(NativeFiles.Find().LibTorch[^1]);
        Assert.Equal("AISLE-5004", Assert.Throws<AisleException>(() => CppRuntimeFix.Patch(libTorch)).Code);
    }

    [Fact]
    public void A_torn_or_altered_shim_is_patched_or_refused_and_never_crashes() =>
        Corruption.Of(Shim[..4096]).Sample(start =>
        {
            // The headers and tables lie near the start; a full copy for every sample would only cost time.
            byte[] shim = [.. start, .. Shim.AsSpan(Math.Min(start.Length, 4096), 300_000)];
            try
            {
                CppRuntimeFix.Patch(shim);
            }
            catch (AisleException fault)
            {
                Assert.Equal("AISLE-5004", fault.Code);
            }
        }, iter: 500);
}
