using Spectre.Console;

namespace Aisle.Terminal;

/// <summary>A run as a tree: one line a job, with its state, measures and time left.</summary>
public static class RunTree
{
    public static Tree Draw(RunProgress run, DateTimeOffset now)
    {
        var tree = new Tree(Line(run, run.Root, now, width: 0)) { Guide = TreeGuide.Line };
        var width = run.Children.Select(child => run.ShortTitle(child).Length).DefaultIfEmpty(0).Max();
        foreach (var child in run.Children) tree.AddNode(Line(run, child, now, width));
        return tree;
    }

    private static Markup Line(RunProgress run, JobProgress job, DateTimeOffset now, int width)
    {
        var title = Markup.Escape(run.ShortTitle(job).PadRight(width));
        var text = job.State switch
        {
            "waiting" => $"[grey]· {title}  waiting[/]",
            "running" => $"[yellow]▸[/] {title}  {Running(job, now)}",
            "succeeded" => $"[green]✓[/] {title}  [grey]{Markup.Escape(job.FromCache ? "known result, no work" : Ended(job, now))}[/]",
            _ => $"[red]✗[/] {title}  [red]{Markup.Escape(RunLines.Ending(job, now))}[/]",
        };
        return new Markup(text) { Overflow = Overflow.Ellipsis };
    }

    private static string Running(JobProgress job, DateTimeOffset now)
    {
        var measures = Markup.Escape(RunLines.Measures(job));
        var bar = job.Share is { } share ? $"{Bar.Markup(share, 16)} {share:0%}  " : "";
        var took = measures.Length == 0 && job.Took(now) is { } time ? $"[grey]{Amount.Time(time)}[/]" : "";
        return bar + measures + took;
    }

    private static string Ended(JobProgress job, DateTimeOffset now)
    {
        var training = job.IsTraining ? $"  {job.Step} steps{(job.Loss is { } loss ? $", loss {loss:0.000}" : "")}" : "";
        return (job.Took(now) is { } time ? Amount.Time(time) : "") + training
            + (job.Counts is { } counts ? $"  {counts.In} in = {counts.Out} out + {counts.Filtered} filtered + {counts.Dead} dead" : "");
    }
}
