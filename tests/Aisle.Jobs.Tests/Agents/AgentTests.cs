using System.Diagnostics;
using Aisle.Artifacts;
using Aisle.Ledger;

namespace Aisle.Jobs.Tests.Agents;

/// <summary>Real processes: a shell stands in for the job program, which is all the agent knows of it.</summary>
public sealed class AgentTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-agent-").FullName;

    [Fact]
    public async Task A_process_gets_its_order_and_is_listened_to()
    {
        await using var agent = Agent("""read order; echo "$order" > order.json; echo '{"type":"ready","url":"http://127.0.0.1:1/"}'; echo plain; echo oops >&2; read forever""");
        agent.Reconcile([Order("w1")]);
        var events = await EventsAsync(agent, count: 3);
        Assert.Contains(events, e => e.Message is { Type: "ready" });
        Assert.Contains(events, e => e.Message is { Type: "log", Text: "plain" });
        Assert.Contains(events, e => e.Message is { Type: "log", Text: "oops" });
        Assert.Equal(new Uri("http://127.0.0.1:1/"), agent.Processes.Single().Url);
        Assert.Contains("\"token\":\"secret\"", File.ReadAllText(Path.Combine(_folder, "job-1", "w1", "order.json")));
    }

    [Fact]
    public async Task Being_told_the_same_twice_starts_nothing_twice()
    {
        await using var agent = Agent("read order; read forever");
        agent.Reconcile([Order("w1")]);
        var pid = agent.Processes.Single().Pid;
        agent.Reconcile([Order("w1")]);
        Assert.Equal(pid, agent.Processes.Single().Pid);
    }

    [Fact]
    public async Task What_is_not_wanted_any_more_is_killed()
    {
        await using var agent = Agent("read order; sleep 1000");
        agent.Reconcile([Order("w1")]);
        using var process = Process.GetProcessById(agent.Processes.Single().Pid);
        agent.Reconcile([]);
        Assert.Equal(137, (await EventsAsync(agent, count: 1)).Last(e => e.ExitCode is not null).ExitCode);
    }

    [Fact]
    public async Task An_ended_process_is_reported_with_its_last_words_and_not_started_again()
    {
        await using var agent = Agent("read order; echo it went wrong >&2; exit 7");
        agent.Reconcile([Order("w1")]);
        var end = (await EventsAsync(agent, count: 2)).Single(e => e.ExitCode is not null);
        Assert.Equal((7, "it went wrong"), (end.ExitCode, end.LastWords));
        agent.Reconcile([Order("w1")]);
        Assert.Equal(7, agent.Processes.Single().ExitCode);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private Agent Agent(string script) => new(new AgentOptions
    {
        Node = "node-1",
        Command = ["/bin/sh", "-c", script],
        Server = new Uri("http://127.0.0.1:1/"),
        Token = "secret",
        Scratch = _folder,
    });

    private static ProcessOrder Order(string process) => new() { Job = new JobId(1), Process = process, Title = "t", Kind = JobKind.Task, Spec = Digest.Of("spec") };

    private static async Task<List<ProcessEvent>> EventsAsync(Agent agent, int count)
    {
        var events = new List<ProcessEvent>();
        while (events.Count < count)
        {
            await agent.WaitForChangeAsync(TimeSpan.FromSeconds(5), TestContext.Current.CancellationToken);
            events.AddRange(agent.TakeEvents(100));
        }
        return events;
    }
}
