using Aisle.Ledger;
using CsCheck;

namespace Aisle.Pipelines.Tests.Specs;

public sealed class PipelineSpecTests
{
    internal static readonly string Example = File.ReadAllText(Repository.File("examples/language-model/train.yaml"));

    [Fact]
    public void The_fine_tuning_example_reads_without_a_fault()
    {
        var spec = PipelineSpec.Parse(File.ReadAllText(Repository.File("examples/fine-tune/fine-tune.yaml")));
        var model = spec.Steps.Single(step => step.Name == "model");
        Assert.Equal("fine-tune-language-model@1", model.Program.Id);
        Assert.Equal("bf16", model.Parameters["model.precision"]);
    }

    [Theory]
    [InlineData("v_proj, q_proj,v_proj", "q_proj,v_proj")]
    [InlineData("", "")]
    [InlineData("../x", null)]
    public void Names_with_commas_between_them_have_one_form(string text, string? expected)
    {
        new NamesParameter("targets", "").TryRead(text, out var canonical);
        Assert.Equal(expected, canonical);
    }

    [Fact]
    public void The_example_is_a_spec()
    {
        var spec = PipelineSpec.Parse(Example);
        Assert.Equal("language-model", spec.Name);
        Assert.Equal("data/text", spec.Inputs["text"]);
        Assert.Equal(["documents", "clean", "unique", "vocabulary", "tokens", "model", "evaluation"], spec.Steps.Select(step => step.Name));
        Assert.Equal("model.model", spec.Outputs["model"].ToString());
        Assert.Equal("model", spec.Publish["models/quickstart"]);
        var train = spec.Steps.Single(step => step.Name == "model");
        Assert.Equal((JobKind.Train, 3), (train.Program.Kind, train.Workers));
        Assert.Equal("tokens.tokens", train.Inputs["tokens"].ToString());
        Assert.Equal(("4", "0.003"), (train.Parameters["model.layers"], train.Parameters["optimizer.learningRate"]));
    }

    [Fact]
    public void What_nobody_wrote_has_its_default()
    {
        var clean = PipelineSpec.Parse(Example).Steps.Single(step => step.Name == "clean");
        Assert.Equal(clean.Program.Parameters.Select(parameter => (parameter.Name, parameter.Default)).Order(), clean.Parameters.Select(value => (value.Key, value.Value)).Order());
    }

    [Fact]
    public void A_spec_written_out_reads_back_as_itself()
    {
        var spec = PipelineSpec.Parse(Example, ["steps.model.workers=7"]);
        var text = spec.ToText();
        Assert.Equal(text, PipelineSpec.Parse(text).ToText());
        Assert.Equal(7, PipelineSpec.Parse(text).Steps.Single(step => step.Name == "model").Workers);
    }

    [Theory]
    [InlineData("steps.model.with.steps=500", "steps", "500")]
    [InlineData("steps.model.with.model.layers=6", "model.layers", "6")]
    [InlineData("steps.model.with.optimizer.learningRate=1e-3", "optimizer.learningRate", "0.001")]
    public void A_set_value_stands_as_if_it_were_written_there(string set, string parameter, string value) =>
        Assert.Equal(value, PipelineSpec.Parse(Example, [set]).Steps.Single(step => step.Name == "model").Parameters[parameter]);

    [Theory]
    [InlineData("off", 0)]
    [InlineData("0", 0)]
    [InlineData("1/64", 1.0 / 64)]
    [InlineData("0.25", 0.25)]
    [InlineData("1", 1)]
    public void An_audit_is_a_fraction_or_off_and_is_written_out_with_the_spec(string written, double value)
    {
        Assert.Null(PipelineSpec.Parse(Example).Steps.Single(step => step.Name == "model").Audit);
        var inFile = PipelineSpec.Parse(Example.Replace("workers: 3", $"workers: 3\n    audit: {written}", StringComparison.Ordinal));
        var set = PipelineSpec.Parse(Example, [$"steps.model.audit={written}"]);
        foreach (var spec in (PipelineSpec[])[inFile, set, PipelineSpec.Parse(set.ToText())]) Assert.Equal(value, spec.Steps.Single(step => step.Name == "model").Audit!.Value);
        Assert.Equal(PipelineSpec.Parse(Example).ToIdentityText(), set.ToIdentityText());
    }

    [Fact]
    public void Sets_reach_maps_that_the_file_does_not_have()
    {
        var spec = PipelineSpec.Parse(Example, ["steps.clean.with.minWords=3", "inputs.text=data/other@stable", "publish.models/mine=model"]);
        Assert.Equal("3", spec.Steps.Single(step => step.Name == "clean").Parameters["minWords"]);
        Assert.Equal("data/other@stable", spec.Inputs["text"]);
        Assert.Equal("model", spec.Publish["models/mine"]);
    }

    /// <summary>faults.txt: specs that must be refused and everything that is said about them. A changed message is a changed promise: read its diff.</summary>
    [Fact]
    public void Every_fault_is_told_at_once_with_its_place_and_the_nearest_spelling()
    {
        var path = Repository.File("tests/Aisle.Pipelines.Tests/Specs/faults.txt");
        var written = File.ReadAllText(path);
        var actual = string.Concat(written.Split("=== ", StringSplitOptions.RemoveEmptyEntries).Select(Answer));
        if (actual != written) File.WriteAllText(path + ".actual", actual);
        Assert.Equal(written, actual);

        static string Answer(string section)
        {
            var spec = section[(section.IndexOf('\n') + 1)..section.IndexOf("\n---\n", StringComparison.Ordinal)];
            var sets = spec.Split('\n').Where(line => line.StartsWith("--set ", StringComparison.Ordinal)).Select(line => line["--set ".Length..]).ToList();
            var yaml = string.Join('\n', spec.Split('\n').Where(line => !line.StartsWith("--set ", StringComparison.Ordinal)));
            var refused = Assert.Throws<SpecException>(() => PipelineSpec.Parse(yaml == "(the example)" ? Example : yaml, sets));
            return $"=== {section[..section.IndexOf("\n---\n", StringComparison.Ordinal)]}\n---\n{string.Join('\n', refused.Faults)}\n\n";
        }
    }

    [Theory]
    [InlineData('[')]
    [InlineData('{')]
    public void A_bottomless_spec_is_refused(char bracket) => Assert.Throws<SpecException>(() => PipelineSpec.Parse(new string(bracket, 200_000)));

    [Fact]
    public void A_spec_of_endless_size_is_refused() =>
        Assert.Contains("limit", Assert.Throws<SpecException>(() => PipelineSpec.Parse(new string('a', 2_000_000))).Message);

    [Fact]
    public void The_largest_spec_allowed_can_be_written_out_and_read_back()
    {
        var step = $"{{ use: train-language-model, in: {new string('t', 60)} }}";
        string Spec(int steps) => $"name: x\ninputs: {{ {new string('t', 60)}: data/text }}\nsteps:\n{string.Concat(Enumerable.Range(0, steps).Select(number => $"  s{number:D62}: {step}\n"))}outputs: {{ o: s{0:D62} }}\n";
        var text = PipelineSpec.Parse(Spec(500)).ToText();
        Assert.Equal(text, PipelineSpec.Parse(text).ToText());
        Assert.Contains("501 steps", Assert.Throws<SpecException>(() => PipelineSpec.Parse(Spec(501))).Message);
    }

    [Fact]
    public void A_damaged_spec_is_read_or_refused_and_nothing_else() =>
        Gen.Select(Gen.Int[0, Example.Length - 1], Gen.Int[0, 4], Gen.Char["{}[]:,-#&*!|>'\"%@`\\\n\t 0aé\u0000\uFEFF\uD800?"], Gen.Int[0, Example.Length - 1]).Array[1, 4].Sample(damages =>
        {
            var text = Example.ToList();
            foreach (var (at, kind, letter, other) in damages)
            {
                if (at >= text.Count) continue;
                if (kind == 0) text[at] = letter;
                else if (kind == 1) text.Insert(at, letter);
                else if (kind == 2) text.RemoveRange(at, Math.Min(text.Count - at, other % 60));
                else if (kind == 3) text.RemoveRange(at, text.Count - at);
                else text.InsertRange(at, text.GetRange(Math.Min(other, text.Count - 1), Math.Min(30, text.Count - Math.Min(other, text.Count - 1))));
            }
            try
            {
                PipelineSpec.Parse(string.Concat(text));
            }
            catch (SpecException refused)
            {
                Assert.NotEmpty(refused.Faults);
            }
        }, iter: 3000);
}
