using System.Collections.Immutable;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;
using Aisle.Pipelines.Tests.Specs;

namespace Aisle.Pipelines.Tests;

public sealed class PipelinePlanTests
{
    private static readonly Digest Text = Digest.Of("the text");

    [Fact]
    public void A_step_is_ready_when_what_it_needs_is_finished()
    {
        var plan = PlanOf(PipelineSpecTests.Example);
        var none = plan.Advance(Finished());
        Assert.Equal(["documents"], none.Ready.Select(step => step.Name));
        Assert.Equal(["unique", "vocabulary"], none.Waiting.Single(step => step.Name == "tokens").Needs.Order());
        Assert.False(none.IsDone);

        var some = plan.Advance(Finished(("documents", Ports("documents")), ("clean", Ports("documents")), ("unique", Ports("documents"))));
        Assert.Equal(["vocabulary"], some.Ready.Select(step => step.Name));
    }

    [Fact]
    public void A_ready_step_is_a_job_with_its_inputs_pinned()
    {
        var documents = PlanOf(PipelineSpecTests.Example).Advance(Finished()).Ready.Single();
        Assert.Equal("extract-text@1", documents.Job.Program);
        Assert.Equal(Text, documents.Job.Inputs["files"]);
        Assert.Equal(["dead", "documents"], documents.Job.Outputs);
        Assert.Null(documents.Job.NumericClass);

        var model = JobsOf(PipelineSpecTests.Example)["model"];
        Assert.Equal((JobKind.Train, "class", 1ul), (model.Kind, model.NumericClass, model.Seed));
        Assert.Equal("300", model.Parameters["steps"]);
        Assert.DoesNotContain("seed", model.Parameters.Keys);
        Assert.Equal(model, JobSpec.Parse(model.ToCanonicalJson().Span) with { Parameters = model.Parameters, Inputs = model.Inputs, Outputs = model.Outputs });
    }

    [Fact]
    public void A_run_is_done_when_every_step_is_and_gives_the_outputs()
    {
        var plan = PlanOf(PipelineSpecTests.Example);
        var finished = plan.Spec.Steps.ToImmutableDictionary(step => step.Name, step => step.Program.Outputs.ToImmutableSortedDictionary(port => port, port => Digest.Of($"{step.Name} {port}")));
        var progress = plan.Advance(finished);
        Assert.True(progress.IsDone);
        Assert.Empty(progress.Ready);
        Assert.Equal(Digest.Of("model model"), progress.Outputs!["model"]);
        Assert.Equal(["evaluation", "model"], progress.Outputs.Keys);
    }

    [Fact]
    public void Any_port_of_a_step_can_be_used()
    {
        var spec = """
            name: dead
            inputs: { text: data/text }
            steps:
              documents: { use: extract-text, in: text }
              again: { use: extract-text, in: documents.dead }
            outputs: { letters: again.dead }
            """;
        var progress = PlanOf(spec).Advance(Finished(("documents", Ports("documents", "dead"))));
        Assert.Equal(Digest.Of("dead"), progress.Ready.Single().Job.Inputs["files"]);
    }

    [Fact]
    public void Two_steps_that_are_given_the_same_are_one_job()
    {
        var plan = PlanOf("""
            name: twins
            inputs: { text: data/text }
            steps:
              a: { use: extract-text, in: text }
              b: { use: extract-text, in: text }
              c: { use: clean-text, in: b }
            outputs: { o: b }
            """);
        var start = plan.Advance(Finished());
        Assert.Equal(["a"], start.Ready.Select(step => step.Name));
        Assert.Equal(["b", "c"], start.Waiting.Select(step => step.Name));
        Assert.Equal(["c"], plan.Advance(Finished(("a", Ports("documents")))).Ready.Select(step => step.Name));
        Assert.Equal(Digest.Of("documents"), plan.Advance(Finished(("a", Ports("documents")), ("c", Ports("documents")))).Outputs!["o"]);
    }

    [Theory]
    [InlineData("steps.model.with.steps=301", "model")]
    [InlineData("steps.tokens.with.seed=2", "tokens")]
    [InlineData("steps.clean.with.minWords=5", "clean")]
    [InlineData("steps.vocabulary.with.size=300", "vocabulary")]
    public void A_changed_parameter_changes_the_identity_of_its_step_alone(string set, string changed)
    {
        var (before, after) = (JobsOf(PipelineSpecTests.Example), JobsOf(PipelineSpecTests.Example, set));
        Assert.Equal([changed], before.Keys.Where(step => before[step].Identity != after[step].Identity));
        Assert.NotEqual(PlanOf(PipelineSpecTests.Example).Job.Identity, PlanOf(PipelineSpecTests.Example, set).Job.Identity);
    }

    [Theory]
    [InlineData("steps.model.workers=5")]
    [InlineData("steps.model.audit=1/2")]
    [InlineData("name=another-name")]
    [InlineData("publish.models/other=model")]
    [InlineData("inputs.text=data/the-same-content-elsewhere")]
    [InlineData("steps.model.with.optimizer.learningRate=3e-3")]
    [InlineData("steps.clean.with.minWords=6")]
    public void What_cannot_change_a_result_changes_no_identity(string set)
    {
        Assert.Equal(PlanOf(PipelineSpecTests.Example).Job.Identity, PlanOf(PipelineSpecTests.Example, set).Job.Identity);
        Assert.Equal(JobsOf(PipelineSpecTests.Example).Select(job => job.Value.Identity), JobsOf(PipelineSpecTests.Example, set).Select(job => job.Value.Identity));
    }

    [Fact]
    public void Other_content_or_another_numeric_class_is_another_run()
    {
        var spec = PipelineSpec.Parse(PipelineSpecTests.Example);
        var run = PlanOf(PipelineSpecTests.Example).Job.Identity;
        Assert.NotEqual(run, new PipelinePlan(spec, new Dictionary<string, Digest> { ["text"] = Digest.Of("other") }, "class").Job.Identity);
        Assert.NotEqual(run, new PipelinePlan(spec, new Dictionary<string, Digest> { ["text"] = Text }, "other class").Job.Identity);
    }

    [Fact]
    public void The_order_in_which_steps_are_written_is_no_part_of_the_run()
    {
        var (head, step1, step2, tail) = ("name: x\ninputs: { text: data/text }\nsteps:\n", "  a: { use: extract-text, in: text }\n", "  b: { use: clean-text, in: a }\n", "outputs: { o: b }\n");
        Assert.Equal(PlanOf(head + step1 + step2 + tail).Job.Identity, PlanOf(head + step2 + step1 + tail).Job.Identity);
    }

    [Fact]
    public void A_missing_input_is_named() =>
        Assert.Contains("text (data/text)", Assert.Throws<AisleException>(() => new PipelinePlan(PipelineSpec.Parse(PipelineSpecTests.Example), new Dictionary<string, Digest>(), "class")).What);

    private static PipelinePlan PlanOf(string yaml, params string[] sets) =>
        new(PipelineSpec.Parse(yaml, sets), new Dictionary<string, Digest> { ["text"] = Text }, "class");

    /// <summary>Each step's job, when every step's outputs depend on its name alone: what is left is what the spec itself changes.</summary>
    private static SortedDictionary<string, JobSpec> JobsOf(string yaml, params string[] sets)
    {
        var plan = PlanOf(yaml, sets);
        var all = plan.Spec.Steps.ToImmutableDictionary(step => step.Name, step => step.Program.Outputs.ToImmutableSortedDictionary(port => port, port => Digest.Of($"{step.Name} {port}")));
        return new(plan.Spec.Steps.ToDictionary(step => step.Name, step => plan.Advance(all.Remove(step.Name)).Ready.Single(ready => ready.Name == step.Name).Job));
    }

    private static ImmutableDictionary<string, ImmutableSortedDictionary<string, Digest>> Finished(params (string Step, ImmutableSortedDictionary<string, Digest> Ports)[] steps) =>
        steps.ToImmutableDictionary(step => step.Step, step => step.Ports);

    private static ImmutableSortedDictionary<string, Digest> Ports(params string[] ports) => ports.ToImmutableSortedDictionary(port => port, Digest.Of);
}
