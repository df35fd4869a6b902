using System.Text.Json.Nodes;
using Aisle.Api;
using Aisle.Commands;
using Aisle.Terminal;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Aisle.Quickstart;

/// <summary>Tells the story: headings and facts for a person, one JSON event a line for a program. One thread tells.</summary>
internal sealed class Narrator(Screen screen, TimeProvider time)
{
    private const int Indent = 3;
    private readonly List<(string Title, TimeSpan Took)> _chapters = [];
    private readonly long _start = time.GetTimestamp();

    /// <summary>What has been told so far and how long each took.</summary>
    public IReadOnlyList<(string Title, TimeSpan Took)> Chapters => _chapters;

    public TimeSpan Elapsed => time.GetElapsedTime(_start);

    /// <summary>Where a bar or a tree may move; null with <c>--json</c>.</summary>
    public IAnsiConsole? Console => screen.Json ? null : screen.Out;

    public void Open(string title)
    {
        if (!screen.Json) screen.Out.Write(new Text(title + "\n", new Style(decoration: Decoration.Bold)));
    }

    /// <summary>Tells one chapter under its heading, and how long it took.</summary>
    /// <param name="stage">Its name for programs.</param>
    public async Task<T> ChapterAsync<T>(string stage, string title, Func<Task<T>> tell)
    {
        var start = time.GetTimestamp();
        if (screen.Json) Event("stage", new JsonObject { ["stage"] = stage, ["state"] = "started" });
        else screen.Out.Write(new Text($"\n{_chapters.Count + 1}  {title}\n", new Style(Color.Aqua, decoration: Decoration.Bold)));
        var result = await tell();
        var took = time.GetElapsedTime(start);
        _chapters.Add((title, took));
        if (screen.Json) Event("stage", new JsonObject { ["stage"] = stage, ["state"] = "done", ["seconds"] = Math.Round(took.TotalSeconds, 3) });
        return result;
    }

    /// <summary>One line under the heading.</summary>
    public void Fact(string text, Style? style = null)
    {
        if (!screen.Json) screen.Out.WriteStaying(text, text.Length == 0 ? 0 : Indent, style);
    }

    /// <summary>What a user would type for the same.</summary>
    public void Typed(string command) => Fact("$ " + command, new Style(Color.Grey));

    public void Show(IRenderable part)
    {
        if (!screen.Json) screen.Out.Write(new Indented(part, Indent));
    }

    /// <summary>Part of a line, seen at once.</summary>
    public void Write(string text, Style? style = null)
    {
        if (!screen.Json) screen.Out.Write(new Text(text, style));
    }

    /// <summary>One event for programs.</summary>
    public void Event(string name, JsonObject? fields = null)
    {
        if (!screen.Json) return;
        var e = new JsonObject { ["event"] = name };
        foreach (var (key, value) in fields ?? []) e[key] = value?.DeepClone();
        screen.WriteLine(e.ToJsonString());
    }

    /// <summary>Shows a job to its end as <c>aisle run -f</c> does, without its log lines.</summary>
    public async Task FollowAsync(AisleClient client, string job, RunProgress run, Func<JobEvent, Task>? seen, CancellationToken cancellationToken)
    {
        var events = new JobFollower(client, time) { HasAnswered = true, Dropped = e => Fact($"{e.What}; waiting for it to come back.") }.FollowAsync(job, cancellationToken);
        if (!screen.Json)
        {
            await new RunView(screen.Out, run, time) { IsBrief = true, Indent = Indent }.ShowAsync(events, seen, cancellationToken);
            return;
        }
        await foreach (var e in events)
        {
            run.Apply(e, time.GetUtcNow());
            if (seen is not null) await seen(e);
            // Ends of jobs are left out: `finished` is the quickstart's own last word.
            if (e.Event is "state" or "workerLost" or "workerJoined" or "workerQuarantined" or "recovered" or "checkpoint") screen.WriteJson(e, ApiJson.Default.JobEvent);
        }
    }
}
