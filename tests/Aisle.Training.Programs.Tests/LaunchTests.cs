using System.Diagnostics;
using System.Text.Json;

namespace Aisle.Training.Programs.Tests;

/// <summary>The real `aisle launch`, with the examples as the user's programs.</summary>
public sealed class LaunchTests
{
    private static readonly string s_program = Path.Combine(AppContext.BaseDirectory, "matrix-factorisation");

    [Fact]
    public async Task One_worker_or_three_with_one_killed_give_the_model_of_the_program_alone()
    {
        using var folder = new TemporaryFolder();
        using var alone = await Running.ToEndAsync("matrix-factorisation", "--small", "--folder", folder["alone"]);
        using var one = await Running.ToEndAsync("aisle", "launch", "-n", "1", "--folder", folder["one"], "--", s_program, "--small");
        Assert.Equal(alone.Model, one.Model);
        Assert.Contains("hit rate at 10", one.Talk);

        using var three = new Running("aisle", "launch", "-n", "3", "--json", "--folder", folder["three"], "--", s_program, "--small");
        await three.SaidAsync("worker-3");
        var victim = Events(three).Single(e => Text(e, "worker") == "worker-2").GetProperty("pid").GetInt32();
        await folder.AppearsAsync("three/run.json", containing: "\"step\": 30");
        Process.GetProcessById(victim).Kill(); // SIGKILL
        await three.EndAsync();
        Assert.Equal(0, three.Process.ExitCode);
        Assert.Contains("worker-2 was killed by signal 9; another takes its place, and 2 restarts remain.", three.Talk);
        Assert.Equal(alone.Model, Text(Events(three).Last(), "model"));
        AssertNothingIsLeft(three, folder["three"]);

        // The record of its steps is where the program alone keeps it too.
        using var stragglers = await Running.ToEndAsync("aisle", "stragglers", folder["three"]);
        Assert.Contains("worker-3", stragglers.Output);
        using var bisection = await Running.ToEndAsync("aisle", "bisect", folder["alone"], folder["three"]);
        Assert.Equal(0, bisection.Process.ExitCode); // step for step the same
    }

    [Fact]
    public async Task A_convolution_with_batch_norm_gives_one_model_on_one_worker_and_on_three_with_one_killed()
    {
        using var folder = new TemporaryFolder();
        using var alone = await Running.ToEndAsync("image-classifier", "--small", "--folder", folder["alone"]);
        Assert.Contains("accuracy", alone.Talk);
        using var three = new Running("aisle", "launch", "-n", "3", "--json", "--folder", folder["three"], "--", Path.Combine(AppContext.BaseDirectory, "image-classifier"), "--small");
        await three.SaidAsync("worker-3");
        await folder.AppearsAsync("three/run.json", containing: "\"step\": 6");
        Process.GetProcessById(Events(three).Single(e => Text(e, "worker") == "worker-2").GetProperty("pid").GetInt32()).Kill();
        await three.EndAsync();
        Assert.Equal(alone.Model, Text(Events(three).Last(), "model"));
        AssertNothingIsLeft(three, folder["three"]);
    }

    [Fact]
    public async Task A_launcher_that_is_killed_takes_its_workers_along_and_the_next_goes_on()
    {
        using var folder = new TemporaryFolder();
        using var alone = await Running.ToEndAsync("matrix-factorisation", "--small", "--folder", folder["alone"]);
        using var killed = new Running("aisle", "launch", "-n", "2", "--json", "--folder", folder["run"], "--", s_program, "--small");
        await folder.AppearsAsync("run/run.json", containing: "\"step\": 30");
        killed.Process.Kill();
        await killed.EndAsync(); // their outputs end with them
        await GoneAsync(Events(killed).Select(e => e.GetProperty("pid").GetInt32()));

        using var next = await Running.ToEndAsync("aisle", "launch", "-n", "2", "--folder", folder["run"], "--", s_program, "--small");
        Assert.Contains("Going on from step ", next.Talk);
        Assert.Equal(alone.Model, next.Model);
    }

    [Fact]
    public async Task However_much_of_it_is_audited_the_model_is_the_same()
    {
        using var folder = new TemporaryFolder();
        using var none = await Running.ToEndAsync("aisle", "launch", "-n", "2", "--audit", "off", "--folder", folder["none"], "--", s_program, "--small");
        using var quarter = await Running.ToEndAsync("aisle", "launch", "-n", "2", "--audit", "1/4", "--folder", folder["quarter"], "--", s_program, "--small");
        Assert.Contains("No slice is audited", none.Talk);
        Assert.Contains("25.00 % of all slices are computed by a second worker too.", quarter.Talk);
        Assert.Equal(none.Model, quarter.Model);
    }

    [Fact]
    public async Task A_number_typed_while_it_runs_is_the_number_of_workers_from_there_on()
    {
        using var folder = new TemporaryFolder();
        using var run = new Running("aisle", "launch", "-n", "1", "--elastic", "1..3", "--json", "--folder", folder["run"], "--", s_program, "--long");
        await folder.AppearsAsync("run/run.json", containing: "\"step\": 50");
        await run.Process.StandardInput.WriteLineAsync("3");
        await run.SaidAsync("worker-3 joined");
        await run.Process.StandardInput.WriteLineAsync("9");
        await run.SaidAsync("9 workers are outside 1..3");
        await run.Process.StandardInput.WriteLineAsync("1");
        await run.SaidAsync("worker-3 is gone");
        await run.SaidAsync("worker-2 is gone");
        using var kill = Process.Start("kill", ["-INT", run.Process.Id.ToString()]);
        await run.EndAsync();
        Assert.Equal(130, run.Process.ExitCode);
        Assert.DoesNotContain("restart", run.Talk);
        AssertNothingIsLeft(run, folder["run"]);
    }

    [Fact]
    public async Task A_program_that_fails_at_once_ends_the_run_with_its_own_words()
    {
        using var folder = new TemporaryFolder();
        using var run = await Running.ToEndAsync("aisle", "launch", "-n", "2", "--restarts", "1", "--folder", folder["run"], "--", "sh", "-c", "echo it is broken >&2; exit 7");
        Assert.Equal(1, run.Process.ExitCode);
        Assert.Contains("worker-1  it is broken", run.Talk);
        Assert.Contains("ended with exit code 7", run.Talk);
        Assert.Contains("AISLE-5175", run.Talk);
        Assert.Contains("TrainingProgram.RunAsync", run.Talk);
    }

    [Fact]
    public async Task A_changed_program_does_not_go_on_from_the_old_ones_states()
    {
        using var folder = new TemporaryFolder();
        using var first = await Running.ToEndAsync("aisle", "launch", "-n", "1", "--folder", folder["run"], "--", s_program, "--small");
        using var same = await Running.ToEndAsync("aisle", "launch", "-n", "1", "--folder", folder["run"], "--", s_program, "--small");
        Assert.Contains("finished already", same.Talk);
        Assert.Equal(first.Model, same.Model);
        using var other = await Running.ToEndAsync("aisle", "launch", "-n", "1", "--folder", folder["run"], "--", s_program);
        Assert.Equal(1, other.Process.ExitCode);
        Assert.Contains("AISLE-5170", other.Talk);
    }

    [Theory]
    [InlineData("AISLE-7060", "--", "/no/such/program")]
    [InlineData("AISLE-7050", "-n", "0", "--", "true")]
    [InlineData("AISLE-7050", "-n", "2", "--elastic", "3..4", "--", "true")]
    [InlineData("AISLE-7050", "--audit", "2", "--", "true")]
    [InlineData("AISLE-7050", "--audit", "1/0", "--", "true")]
    public async Task What_cannot_be_launched_is_refused_with_the_right_way(string code, params string[] arguments)
    {
        using var folder = new TemporaryFolder();
        using var run = await Running.ToEndAsync("aisle", ["launch", "--folder", folder["run"], .. arguments]);
        Assert.Equal(2, run.Process.ExitCode);
        Assert.Contains(code, run.Talk);
    }

    [Fact]
    public async Task Secrets_stand_on_no_command_line_and_in_no_environment()
    {
        using var folder = new TemporaryFolder();
        using var run = new Running("aisle", "launch", "-n", "1", "--json", "--folder", folder["run"], "--", s_program, "--long");
        await folder.AppearsAsync("run/run.json", containing: "\"step\": 50");
        var secret = await File.ReadAllTextAsync(folder["run/.secret"], TestContext.Current.CancellationToken);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["run/.secret"]));
        foreach (var pid in Events(run).Select(e => e.GetProperty("pid").GetInt32()).Append(run.Process.Id))
        {
            Assert.DoesNotContain(secret, await File.ReadAllTextAsync($"/proc/{pid}/cmdline", TestContext.Current.CancellationToken));
            Assert.DoesNotContain(secret, await File.ReadAllTextAsync($"/proc/{pid}/environ", TestContext.Current.CancellationToken));
        }
    }

    private static List<JsonElement> Events(Running run) => [.. run.Output.Split('\n').Where(line => line.StartsWith('{')).Select(line => JsonDocument.Parse(line).RootElement)];

    private static string? Text(JsonElement e, string name) => e.TryGetProperty(name, out var value) ? value.GetString() : null;

    private static void AssertNothingIsLeft(Running run, string folder)
    {
        foreach (var started in Events(run).Where(e => Text(e, "event") == "started")) Assert.False(Directory.Exists($"/proc/{started.GetProperty("pid").GetInt32()}"));
        Assert.Empty(Directory.GetFileSystemEntries(folder).Select(Path.GetFileName).Except(["run.json", ".lock", "store", "model", "steps.log", "timeline.json", "tensorboard"]));
        Assert.DoesNotContain(Directory.GetDirectories(Path.Combine(folder, "store")), path => path.EndsWith(".part", StringComparison.Ordinal));
    }

    private static async Task GoneAsync(IEnumerable<int> pids)
    {
        var deadline = DateTime.UtcNow.AddSeconds(60);
        foreach (var pid in pids)
        {
            while (Directory.Exists($"/proc/{pid}"))
            {
                if (DateTime.UtcNow > deadline) throw new TimeoutException($"Process {pid} outlives its launcher.");
                await Task.Delay(10);
            }
        }
    }
}
