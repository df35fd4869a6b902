namespace Aisle.Training.Programs.Tests;

/// <summary>A program that a person starts by itself.</summary>
public sealed class LoneRunTests
{
    private const string Program = "matrix-factorisation";

    [Fact]
    public async Task A_program_alone_trains_stores_its_model_and_says_its_digest()
    {
        using var folder = new TemporaryFolder();
        using var run = await Running.ToEndAsync(Program, "--small", "--folder", folder["run"]);
        Assert.Equal(0, run.Process.ExitCode);
        Assert.StartsWith("sha256:", run.Model);
        Assert.Contains("hit rate at 10", run.Talk);
        Assert.Equal(["evaluation.json", "model.safetensors"], Directory.EnumerateFiles(folder["run/model/"]).Select(Path.GetFileName).Order());
        Assert.False(Directory.Exists(folder["run/scratch"]));
    }

    [Fact]
    public async Task A_killed_program_goes_on_from_its_newest_state_to_the_same_model()
    {
        using var folder = new TemporaryFolder();
        using var whole = await Running.ToEndAsync(Program, "--small", "--folder", folder["whole"]);
        using var killed = new Running(Program, "--small", "--folder", folder["killed"]);
        await folder.AppearsAsync("killed/run.json", containing: "\"step\": 30");
        killed.Process.Kill(); // SIGKILL
        await killed.EndAsync();
        Assert.NotEqual(0, killed.Process.ExitCode);

        using var resumed = await Running.ToEndAsync(Program, "--small", "--folder", folder["killed"]);
        Assert.Contains("Going on from step ", resumed.Talk);
        Assert.Equal(whole.Model, resumed.Model);

        using var again = await Running.ToEndAsync(Program, "--small", "--folder", folder["killed"]);
        Assert.Contains("finished already", again.Talk);
        Assert.Equal(whole.Model, again.Model);

        using var fresh = await Running.ToEndAsync(Program, "--small", "--fresh", "--folder", folder["killed"]);
        Assert.DoesNotContain("Going on", fresh.Talk);
        Assert.Equal(whole.Model, fresh.Model);
    }

    [Fact]
    public async Task Another_recipe_is_refused_in_a_runs_folder_until_it_is_to_be_forgotten()
    {
        using var folder = new TemporaryFolder();
        using var small = await Running.ToEndAsync(Program, "--small", "--folder", folder["run"]);
        using var other = await Running.ToEndAsync(Program, "--folder", folder["run"]);
        Assert.Equal(1, other.Process.ExitCode);
        Assert.Contains("AISLE-5170", other.Talk);
        Assert.Contains("--fresh", other.Talk);
    }

    [Fact]
    public async Task Two_runs_do_not_share_a_folder()
    {
        using var folder = new TemporaryFolder();
        using var held = RunFolder.Open(folder["run"], fresh: false);
        using var second = await Running.ToEndAsync(Program, "--small", "--folder", folder["run"]);
        Assert.Equal(1, second.Process.ExitCode);
        Assert.Contains("AISLE-5171", second.Talk);
    }

    [Fact]
    public async Task A_mistyped_argument_is_named()
    {
        using var run = await Running.ToEndAsync(Program, "--smal", "--folder");
        Assert.Equal(2, run.Process.ExitCode);
        Assert.Contains("'--smal' is none of", run.Talk);
        Assert.Contains("--folder needs a path", run.Talk);
    }

    [Fact]
    public async Task Ctrl_C_stops_it_and_says_how_to_go_on()
    {
        using var folder = new TemporaryFolder();
        using var run = new Running(Program, "--folder", folder["run"]);
        await folder.AppearsAsync("run/run.json", containing: "\"step\": 50");
        using var kill = System.Diagnostics.Process.Start("kill", ["-INT", run.Process.Id.ToString()]);
        await run.EndAsync();
        Assert.Equal(130, run.Process.ExitCode);
        Assert.Contains("Start it again to go on from step", run.Talk);
    }
}
