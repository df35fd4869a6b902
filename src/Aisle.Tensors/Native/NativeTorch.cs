using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using TorchSharp;

namespace Aisle.Tensors;

/// <summary>Loads libtorch into this process, once, from the one place it is kept. Call <see cref="Load"/> before the first use of TorchSharp.</summary>
public static class NativeTorch
{
    private static readonly Lock Gate = new();   // guards _loaded and the load itself
    private static nint _shim;
    private static bool _loaded;

    /// <summary>Finds and loads the libraries, fixes one thread and the numeric class. Thread-safe; every call after the first returns at once.</summary>
    /// <param name="log">Receives the one line worth saying: that a copy of the shim was loaded and why. Standard error when null.</param>
    /// <exception cref="AisleException">AISLE-5001 to 5007: the libraries cannot be used here; the message says what to do.</exception>
    public static void Load(Action<string>? log = null)
    {
        lock (Gate)
        {
            if (_loaded) return;
            var files = NativeFiles.Find();
            NativeSettings.Apply(ArithmeticChoices.OfThisProcess() == ArithmeticChoice.LibTorchAvx2, Processor.IsIntel);
            _shim = LoadLibraries(files, log ?? Console.Error.WriteLine);
            AssemblyLoadContext.Default.ResolvingUnmanagedDll += Resolve;
            torch.InitializeDeviceType(DeviceType.CPU);
            torch.set_num_threads(NativeSettings.Threads);
            torch.set_num_interop_threads(NativeSettings.Threads);
            _loaded = true;
        }
    }

    private static nint LoadLibraries(NativeFiles files, Action<string> log)
    {
        var shim = files.Shim;
        if (CppRuntimeFix.IsNeeded(files))
        {
            shim = CppRuntimeFix.PatchedCopy(files.Shim);
            log($"This system's C++ runtime lacks {CppRuntimeFix.Version} (GCC 13): TorchSharp's native part is loaded from a copy that does without it, {shim}.");
        }

        foreach (var library in files.LibTorch) LoadOne(library);
        return LoadOne(shim);
    }

    private static nint LoadOne(string path)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (Exception fault) when (fault is DllNotFoundException or BadImageFormatException)
        {
            throw new AisleException("AISLE-5007", $"{path} cannot be loaded: {fault.Message}",
                $"Install the library it names, or point {NativeFiles.FolderVariable} at a libtorch made for this system.", fault);
        }
    }

    // TorchSharp asks for its two libraries by bare name; libtorch is already in the process, so both answers are the shim's handle.
    private static nint Resolve(Assembly assembly, string name) => name is "LibTorchSharp" or "torch_cpu" ? _shim : 0;
}
