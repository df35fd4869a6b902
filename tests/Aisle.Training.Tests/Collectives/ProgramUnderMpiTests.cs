using System.Diagnostics;
using System.Text.RegularExpressions;
using Aisle.Training.Programs;

namespace Aisle.Training.Tests.Collectives;

/// <summary>A user's program, started by mpirun without a change.</summary>
public sealed partial class ProgramUnderMpiTests(NcclDoubleFixture library) : IClassFixture<NcclDoubleFixture>, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-mpi-program-").FullName;

    [Fact]
    public async Task A_program_gives_the_same_model_alone_and_on_the_ranks_that_mpirun_started()
    {
        var alone = await AloneAsync();
        var (said, code) = await MpiRun.StartAsync(3, Program("ranks"));
        Assert.True(code == 0, said);
        Assert.Equal(alone, Model(said));
        Assert.True(File.Exists(Path.Combine(_folder, "ranks", "model", "weights.bin")));
        Assert.False(Directory.Exists(Path.Combine(_folder, "ranks", "scratch")));

        var (again, codeAgain) = await MpiRun.StartAsync(2, Program("ranks"));
        Assert.True(codeAgain == 0, again);
        Assert.Contains("finished already", again, StringComparison.Ordinal);
        Assert.Equal(alone, Model(again));
    }

    [Fact]
    public async Task The_ranks_sum_over_nccl_when_told_to_and_say_so_when_there_is_none()
    {
        var (refused, refusedCode) = await MpiRun.StartAsync(1, Program("none"), ("AISLE_COLLECTIVE", "nccl"));
        Assert.NotEqual(0, refusedCode);
        Assert.Contains("AISLE-5196", refused, StringComparison.Ordinal);

        // The double under the names that the adapter looks for; its ranks are threads, so this world has one.
        foreach (var name in (string[])["libnccl.so.2", "libcudart.so.13"]) File.CreateSymbolicLink(Path.Combine(_folder, name), library.Double.Path);
        var (said, code) = await MpiRun.StartAsync(1, Program("nccl"), ("AISLE_COLLECTIVE", "nccl"), ("LD_LIBRARY_PATH", _folder));
        Assert.True(code == 0, said);
        Assert.Equal(await AloneAsync(), Model(said));
    }

    [Theory]
    [InlineData("AISLE_COLLECTIVE", "gloo", "Set it to mpi or nccl")]
    [InlineData("OMPI_COMM_WORLD_RANK", "first", "no number of a rank")]
    public void An_environment_that_makes_no_sense_is_refused(string name, string value, string sentence)
    {
        var environment = new Dictionary<string, string> { ["OMPI_COMM_WORLD_SIZE"] = "2", ["OMPI_COMM_WORLD_RANK"] = "0", ["OMPI_COMM_WORLD_LOCAL_RANK"] = "0", [name] = value };
        var refused = Assert.Throws<AisleException>(() => WorldEnvironment.Read(environment.GetValueOrDefault));
        Assert.Equal("AISLE-5199", refused.Code);
        Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
        Assert.Null(WorldEnvironment.Read(_ => null));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string[] Program(string folder) => ["program", "--folder", Path.Combine(_folder, folder)];

    private async Task<string> AloneAsync()
    {
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Aisle.Training.Tests.Worker"), Program("alone")) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, await error);
        return Model(await output);
    }

    private static string Model(string said) => Digest().Match(said).Value is { Length: > 0 } digest ? digest : throw new InvalidOperationException($"No model in: {said}");

    [GeneratedRegex("sha256:[0-9a-f]{64}")]
    private static partial Regex Digest();
}
