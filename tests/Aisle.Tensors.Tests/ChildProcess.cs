using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Aisle.Tensors.Tests;

/// <summary>This test program started once more to do one thing in a fresh process, where libtorch is not loaded yet and the environment is another.</summary>
internal static class ChildProcess
{
    private const string TaskVariable = "AISLE_TENSORS_TESTS_TASK";

    public static Process Start(string task, params ReadOnlySpan<(string Name, string Value)> environment)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        start.Environment[TaskVariable] = task;
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    // Before the test runner's Main: a child answers and ends here.
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void RunTask()
    {
        if (Environment.GetEnvironmentVariable(TaskVariable) is not { } task) return;
        try
        {
            Console.WriteLine(task switch
            {
                "load" => Load(),
                "fingerprint" => NumericClass.OfThisMachine().Fingerprint,
                "exact" => $"{ExactArithmeticTests.Digest()} {ExactArithmeticTests.Digest(ModelFamily.Qwen2)} {ExactArithmeticTests.Digest(ModelFamily.Gpt2)} {AdaptedLanguageModelTests.Digest()} {(System.Runtime.Intrinsics.Vector512.IsHardwareAccelerated ? 512 : System.Runtime.Intrinsics.Vector256.IsHardwareAccelerated ? 256 : 128)}",
                _ => throw new ArgumentOutOfRangeException(task),
            });
        }
        catch (AisleException fault)
        {
            Console.WriteLine(fault.Message);
        }

        Environment.Exit(0);
    }

    private static string Load()
    {
        NativeTorch.Load(_ => { });
        using var one = TorchSharp.torch.ones(1);
        return one.item<float>() == 1 ? "loaded" : "wrong";
    }
}
