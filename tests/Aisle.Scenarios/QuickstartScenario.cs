using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Aisle.Scenarios;

public sealed class QuickstartScenario
{
    [Fact]
    public async Task The_quick_quickstart_tells_the_whole_story_and_leaves_nothing_running()
    {
        var root = DataCentre.NewRoot();
        var info = new ProcessStartInfo(DataCentre.Program)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = root,
        };
        foreach (var argument in (string[])["quickstart", "--quick", "--json"]) info.ArgumentList.Add(argument);
        info.Environment["AISLE_HOME"] = Path.Combine(root, "home");
        info.Environment["TMPDIR"] = root;
        using var process = Process.Start(info)!;
        var talk = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"exit {process.ExitCode}\n{output}\n{await talk}");

        var last = JsonNode.Parse(output.TrimEnd().Split('\n')[^1])!;
        Assert.Equal("finished", last["event"]!.GetValue<string>());
        Assert.True(last["ok"]!.GetValue<bool>());
        Assert.Equal(last["model"]!.GetValue<string>(), last["reexecuted"]!.GetValue<string>());
        Assert.Equal(0, last["stepsLost"]!.GetValue<int>());
        Assert.True(last["recoverySeconds"]!.GetValue<double>() > 0);

        // Every process it started named this root in its environment; none is left.
        Assert.DoesNotContain(Directory.GetDirectories("/proc"), entry => BelongsTo(entry, root));
    }

    private static bool BelongsTo(string entry, string root)
    {
        try
        {
            return int.TryParse(Path.GetFileName(entry), out var pid) && DataCentre.IsAlive(pid)
                && File.ReadAllText(Path.Combine(entry, "environ")).Contains(root, StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
