using System.Diagnostics;

namespace Aisle.Training.Tests.Collectives;

/// <summary>A shared library made from C here and now.</summary>
internal static class CompiledLibrary
{
    /// <summary>The C compiler; null when this machine has none.</summary>
    private static readonly string? s_compiler =
        (from name in (string[])["gcc", "cc", "clang"] from folder in Environment.GetEnvironmentVariable("PATH")!.Split(':') let path = Path.Combine(folder, name) where File.Exists(path) select path).FirstOrDefault();

    /// <returns>The library's path, in the folder. Skips the test where nothing can compile it.</returns>
    public static string Make(string folder, string name, string source)
    {
        Assert.SkipWhen(s_compiler is null, "There is no C compiler here to make the double of the library with.");
        var (code, library) = (Path.Combine(folder, name + ".c"), Path.Combine(folder, name + ".so"));
        File.WriteAllText(code, source);
        using var compiling = Process.Start(new ProcessStartInfo(s_compiler!, ["-shared", "-fPIC", "-O1", "-pthread", "-o", library, code]) { RedirectStandardError = true })!;
        var said = compiling.StandardError.ReadToEnd();
        compiling.WaitForExit();
        Assert.True(compiling.ExitCode == 0, said);
        return library;
    }
}
