using System.Diagnostics;

namespace Aisle.Training.Tests.Numerics;

/// <summary>The same program with all vector instructions, without AVX-512, without AVX2, and with none.</summary>
public sealed class VectorWidthTests
{
    [Fact]
    public async Task Optimisers_and_codecs_give_the_same_bits_with_any_vectors_and_with_none()
    {
        var all = await BitsAsync(null);
        var none = await BitsAsync("DOTNET_EnableHWIntrinsic");
        Assert.Equal("vectors False", none[0]);
        Assert.True(all.Length > 12, "The program says nothing.");
        foreach (var other in (string[][])[none, await BitsAsync("DOTNET_EnableAVX2"), await BitsAsync("DOTNET_EnableAVX512")]) Assert.Equal(all[1..], other[1..]);
    }

    private static async Task<string[]> BitsAsync(string? without)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Aisle.Training.Tests.Worker"), ["bits"]) { RedirectStandardOutput = true };
        if (without is not null) start.Environment[without] = "0";
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
