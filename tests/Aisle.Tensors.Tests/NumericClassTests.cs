namespace Aisle.Tensors.Tests;

public sealed class NumericClassTests
{
    [Fact]
    public void The_fingerprint_names_device_instructions_and_threads_and_is_the_same_each_time()
    {
        var first = NumericClass.Of(ArithmeticChoice.LibTorch);
        Assert.Matches("^cpu-(avx512|avx2|default)-1t-[0-9a-f]{12}$", first.Fingerprint);
        Assert.Equal(first, NumericClass.Of(ArithmeticChoice.LibTorch));
    }

    [Fact]
    public void The_capability_is_the_one_libtorch_reports()
    {
        NativeTorch.Load();
        Assert.Equal(NumericClass.Of(ArithmeticChoice.LibTorch).Capability, TorchCapability().ToLowerInvariant());
    }

    [Fact]
    public void Every_library_is_named_by_its_build()
    {
        var facts = NumericClass.Of(ArithmeticChoice.LibTorch).Facts;
        Assert.All(["libtorch_cpu.so=", "libc10.so=", "libLibTorchSharp.so="], name => Assert.Matches($"^{name}[0-9a-f]{{40}}/[0-9]+$", Assert.Single(facts, f => f.StartsWith(name, StringComparison.Ordinal))));
    }

    private static unsafe string TorchCapability()
    {
        // std::string at::get_cpu_capability(): a hidden first argument points at where the 32-byte result goes.
        var capability = (delegate* unmanaged<nint, nint>)System.Runtime.InteropServices.NativeLibrary.GetExport(
            System.Runtime.InteropServices.NativeLibrary.Load(NativeFiles.Find().LibTorch.Single(path => path.EndsWith("libtorch_cpu.so", StringComparison.Ordinal))),
            "_ZN2at18get_cpu_capabilityB5cxx11Ev");
        var text = stackalloc nint[4];
        capability((nint)text);
        return System.Runtime.InteropServices.Marshal.PtrToStringUTF8(text[0], (int)text[1]);
    }
}
