using System.Diagnostics;

namespace Aisle.Training.Tests.Collectives;

/// <summary>Ranks as processes that Debian's OpenMPI starts on this machine.</summary>
internal static class MpiRun
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    /// <summary>Why ranks cannot be started here; null when they can.</summary>
    public static string? Missing { get; } =
        Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, "mpirun"))) ? null : "OpenMPI is not installed: there is no mpirun.";

    /// <returns>What each rank found, in rank order; what they and mpirun said; mpirun's exit code.</returns>
    public static async Task<(string[] Found, string Said, int Code)> StartAsync(int ranks, string what, string folder, params string[] parameters)
    {
        foreach (var earlier in Directory.EnumerateFiles(folder, "rank-*")) File.Delete(earlier);
        var (said, code) = await StartAsync(ranks, ["world", what, folder, .. parameters]);
        return ([.. Directory.EnumerateFiles(folder, "rank-*").Order(StringComparer.Ordinal).Select(File.ReadAllText)], said, code);
    }

    /// <param name="arguments">Of the tests' worker program.</param>
    public static async Task<(string Said, int Code)> StartAsync(int ranks, string[] arguments, params (string Name, string Value)[] environment)
    {
        Assert.SkipWhen(Missing is not null, Missing ?? "");
        var start = new ProcessStartInfo(
            "mpirun", ["--oversubscribe", "--allow-run-as-root", "--bind-to", "none", "-n", $"{ranks}", Path.Combine(AppContext.BaseDirectory, "Aisle.Training.Tests.Worker"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        // On one machine, and shared memory's single copy wants a permission that containers seldom give.
        start.Environment["OMPI_MCA_btl"] = "self,vader";
        start.Environment["OMPI_MCA_btl_vader_single_copy_mechanism"] = "none";
        start.Environment["OMPI_MCA_mpi_yield_when_idle"] = "1"; // waiting ranks would keep the cores from those they wait for
        foreach (var (name, value) in environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        try
        {
            using var patience = new CancellationTokenSource(s_patience);
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"The ranks do not end. They said: {await output}\n{await error}");
        }
        return (await output + await error, process.ExitCode);
    }
}
