using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Aisle.Scenarios;

/// <summary>A real data centre of real processes, used through the command line only, as a user would.</summary>
internal sealed class DataCentre : IAsyncDisposable
{
    private readonly Process _up;
    private readonly StringBuilder _talk;

    private DataCentre(string root, Process up, StringBuilder talk, JsonNode ready)
    {
        Root = root;
        _up = up;
        _talk = talk;
        Ready = ready;
    }

    /// <summary>Folder of everything that this data centre and its user have.</summary>
    public string Root { get; }

    /// <summary>Set where another data centre goes on over this one's data.</summary>
    public bool KeepsData { get; init; }

    /// <summary>What <c>up --json</c> said.</summary>
    public JsonNode Ready { get; }

    public string Dir => Ready["dir"]!.GetValue<string>();

    public IReadOnlyList<string> NodeDirs => [.. Ready["nodes"]!.AsArray().Select(node => node!["dir"]!.GetValue<string>())];

    public static string NewRoot() => Directory.CreateTempSubdirectory("aisle-scenario-").FullName;

    /// <summary>Starts one over <paramref name="root"/>, which may hold an earlier one's data.</summary>
    public static async Task<DataCentre> StartAsync(string? root = null, int nodes = 3, bool keepsData = false)
    {
        root ??= NewRoot();
        var up = Start(root, ["up", "--json", "--port", "0", "--nodes", $"{nodes}", "--dir", Path.Combine(root, "dc"), "--with-parent"]);
        var talk = new StringBuilder();
        up.ErrorDataReceived += (_, line) =>
        {
            lock (talk) talk.AppendLine(line.Data);
        };
        up.BeginErrorReadLine();
        var ready = await up.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
        if (ready is null) throw new InvalidOperationException($"`aisle up` ended before it was ready:\n{talk}");
        return new DataCentre(root, up, talk, JsonNode.Parse(ready)!) { KeepsData = keepsData };
    }

    /// <summary>One command; its exit code, data and talk.</summary>
    public async Task<Outcome> RunAsync(params string[] arguments)
    {
        using var process = Start(Root, arguments);
        var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        process.StandardInput.Close();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new Outcome(process.ExitCode, await output, await error);
    }

    /// <summary>A command that must succeed, as its JSON document (the last one of a stream).</summary>
    public async Task<JsonNode> JsonAsync(params string[] arguments)
    {
        var outcome = await RunAsync([.. arguments, "--json"]);
        Assert.True(outcome.ExitCode == 0, $"aisle {string.Join(' ', arguments)} ended with {outcome.ExitCode}:\n{outcome.Output}\n{outcome.Talk}\n{Logs()}");
        return JsonNode.Parse(outcome.Output.TrimEnd().Split('\n')[^1])!;
    }

    /// <summary>A command followed line by line; each line of its NDJSON is given to <paramref name="seen"/>.</summary>
    public async Task<JsonNode> FollowAsync(Func<JsonNode, Task> seen, params string[] arguments)
    {
        using var process = Start(Root, [.. arguments, "--json"]);
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        JsonNode? last = null;
        while (await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
        {
            last = JsonNode.Parse(line)!;
            await seen(last);
        }
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"aisle {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{last}\n{await error}\n{Logs()}");
        return last!;
    }

    /// <summary>A request to the API itself.</summary>
    public async Task<JsonNode> GetAsync(string path) => JsonNode.Parse(await GetTextAsync(path))!;

    public async Task<string> GetTextAsync(string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(new Uri(Ready["url"]!.GetValue<string>()), path));
        request.Headers.Authorization = new System.Net.Http.Headers.AuthenticationHeaderValue("Bearer", (await File.ReadAllTextAsync(Ready["tokenFile"]!.GetValue<string>())).Trim());
        using var answer = await Http.SendAsync(request, TestContext.Current.CancellationToken);
        return await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
    }

    private static readonly HttpClient Http = new();

    /// <summary>Live processes of this data centre: its nodes and theirs, found by the folder they were started in or with.</summary>
    public IReadOnlyList<int> NodePids => [.. Ready["nodes"]!.AsArray().Select(node => node!["pid"]!.GetValue<int>())];

    /// <summary>Waits until the API says that all nodes are up again.</summary>
    public async Task AllUpAsync(int nodes = 3)
    {
        while (true)
        {
            var outcome = await RunAsync("nodes", "--json");
            if (outcome.ExitCode == 0 && JsonNode.Parse(outcome.Output)!.AsArray().Count(node => node!["state"]!.GetValue<string>() == "up") == nodes) return;
            await Task.Delay(100, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Kills the supervisor and every node at once, without a word.</summary>
    public async Task KillAllAsync()
    {
        // The supervisor first, or it would start its nodes again.
        var nodes = (await JsonAsync("nodes")).AsArray().Select(node => node!["pid"]!.GetValue<int>()).ToList();
        Kill(_up.Id);
        foreach (var pid in nodes) Kill(pid);
        await _up.WaitForExitAsync(TestContext.Current.CancellationToken);
        foreach (var pid in nodes) await GoneAsync(pid);
    }

    /// <summary>Kills only the supervisor; what it started must end by itself.</summary>
    public async Task KillSupervisorAsync()
    {
        Kill(_up.Id);
        await _up.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    public static void Kill(int pid) => Send(pid, 9);

    /// <summary>Returns when the process is gone.</summary>
    public static async Task GoneAsync(int pid)
    {
        while (IsAlive(pid)) await Task.Delay(20, TestContext.Current.CancellationToken);
    }

    public static bool IsAlive(int pid)
    {
        // A zombie has ended; its parent has only not looked yet.
        var status = $"/proc/{pid}/stat";
        try
        {
            var text = File.ReadAllText(status);
            return text[(text.LastIndexOf(')') + 2)..][0] != 'Z';
        }
        catch (IOException)
        {
            return false;
        }
    }

    public string Logs()
    {
        var text = new StringBuilder();
        lock (_talk) text.AppendLine(_talk.ToString());
        foreach (var file in Directory.GetFiles(Path.Combine(Dir, "logs"))) text.AppendLine(Path.GetFileName(file)).AppendLine(string.Join('\n', File.ReadLines(file).TakeLast(20)));
        return text.ToString();
    }

    public async Task StopAsync()
    {
        if (!_up.HasExited) Send(_up.Id, 15);
        await _up.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_up.HasExited)
        {
            Send(_up.Id, 15);
            await _up.WaitForExitAsync();
        }
        _up.Dispose();
        if (!KeepsData) Directory.Delete(Root, recursive: true);
    }

    private static Process Start(string root, IReadOnlyList<string> arguments)
    {
        var info = new ProcessStartInfo(Program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = root,
        };
        foreach (var argument in arguments) info.ArgumentList.Add(argument);
        info.Environment["AISLE_HOME"] = Path.Combine(root, "home");
        foreach (var variable in (string[])["AISLE_SERVER", "AISLE_TOKEN", "AISLE_TOKEN_FILE"]) info.Environment.Remove(variable);
        return Process.Start(info)!;
    }

    public static string Program { get; } = Path.Combine(AppContext.BaseDirectory, "aisle");

    private static void Send(int pid, int signal)
    {
        if (SysKill(pid, signal) != 0 && Marshal.GetLastPInvokeError() != 3) throw new InvalidOperationException($"kill({pid}, {signal}): errno {Marshal.GetLastPInvokeError()}");
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static extern int SysKill(int pid, int signal);
}

internal sealed record Outcome(int ExitCode, string Output, string Talk);
