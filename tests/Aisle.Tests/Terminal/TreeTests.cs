using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Terminal;
using Aisle.Tests.Commands;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Aisle.Tests.Terminal;

public sealed class TreeTests
{
    [Fact]
    public void A_run_is_a_tree_with_a_line_for_each_job()
    {
        var run = new RunProgress("job-1");
        foreach (var e in RunTests.Story("succeeded")[..^2]) run.Apply(e, DateTimeOffset.UnixEpoch);
        Assert.Equal(
            """
            ▸ language-model  4.0 s
            ├── ✓ extract  2.0 s  10 in = 7 out + 2 filtered + 1 dead
            ├── ✓ clean    known result, no work
            └── ▸ train    ━━━━━━━━━━━━━━━━ 100%  step 2/2  loss 6.000  30.0k tokens/s  2 workers
            """, Text(RunTree.Draw(run, DateTimeOffset.UnixEpoch.AddSeconds(4))));
    }

    [Fact]
    public void A_failed_job_says_why()
    {
        var run = new RunProgress("job-1");
        run.Apply(new JobEvent { Event = "finished", Job = "job-1", Title = "a [b]", State = "failed", Error = "no [text] here" }, DateTimeOffset.UnixEpoch);
        Assert.Equal("✗ a [b]  failed: no [text] here", Text(RunTree.Draw(run, DateTimeOffset.UnixEpoch)));
    }

    [Fact]
    public void States_of_a_process_are_not_the_jobs()
    {
        var run = new RunProgress("job-1");
        run.Apply(new JobEvent { Event = "state", Job = "job-1", State = "running" }, DateTimeOffset.UnixEpoch);
        run.Apply(new JobEvent { Event = "state", Job = "job-1", State = "ready", Worker = "w1" }, DateTimeOffset.UnixEpoch);
        Assert.Equal("running", run.Root.State);
    }

    [Fact]
    public void Lineage_grows_back_to_what_was_put_and_draws_a_branch_once()
    {
        var text = new LineageView { Digest = Digest.Of("text"), Names = ["data/text"] };
        var clean = new LineageView
        {
            Digest = Digest.Of("clean"), Job = "job-2", Program = "clean-text@1", Title = "m/clean", Counts = new CountsView(10, 7, 2, 1),
            Inputs = new Dictionary<string, LineageView> { ["in"] = text },
        };
        var model = new LineageView
        {
            Digest = Digest.Of("model"), Names = ["models/x"], Job = "job-4", Program = "train@1",
            Inputs = new Dictionary<string, LineageView> { ["a"] = clean, ["b"] = clean },
        };
        Assert.Equal(
            $"""
             {Digest.Of("model").Short}  train@1 in job-4  models/x
             ├── a  {Digest.Of("clean").Short}  clean-text@1 in job-2 (m/clean)  7 of 10 records, 1 dead
             │   └── in  {Digest.Of("text").Short}  put by a person  data/text
             └── b  {Digest.Of("clean").Short}  clean-text@1 in job-2 (m/clean)  7 of 10 records, 1 dead  (drawn above)
             """, Text(LineageTree.Draw(model)));
    }

    private static string Text(IRenderable tree)
    {
        var writer = new StringWriter();
        var screen = Screen.On(writer, TextWriter.Null, json: false);
        screen.Write(tree);
        return string.Join('\n', writer.ToString().TrimEnd().Split('\n').Select(line => line.TrimEnd()));
    }
}
