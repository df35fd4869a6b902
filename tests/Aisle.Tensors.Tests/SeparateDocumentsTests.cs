namespace Aisle.Tensors.Tests;

/// <summary>Several documents packed into one sequence, each computed as if it stood alone.</summary>
public sealed class SeparateDocumentsTests
{
    private const int Start = 1;
    private static readonly LanguageModelOptions Separate = new() { DocumentStart = Start };

    [Theory]
    [InlineData(ModelFamily.Llama, false)]
    [InlineData(ModelFamily.Llama, true)]
    [InlineData(ModelFamily.Qwen2, false)]
    [InlineData(ModelFamily.Gpt2, true)]
    public void A_packed_sequence_has_the_logits_losses_and_gradients_of_its_documents(ModelFamily family, bool recompute)
    {
        var config = Small.Config with { Family = family, Layers = 3 };
        using var packed = new LanguageModel(config, ArithmeticChoice.Exact, Separate with { Recompute = recompute });
        using var alone = new LanguageModel(config, ArithmeticChoice.Exact);
        foreach (var model in (LanguageModel[])[packed, alone])
        {
            model.Initialize(3);
            Small.FillBiases(model);
        }

        // What an earlier document left off with, two whole documents, and the beginning of one.
        int[] starts = [0, 4, 9, 10];
        const int Length = 16;
        var tokens = Small.Tokens(Length + 1).Select(token => token == Start ? Start + 1 : token).ToArray();
        foreach (var start in starts[1..]) tokens[start] = Start;

        double loss = 0;
        var gradients = new double[config.ParameterCount];
        List<float> logits = [];
        for (var i = 0; i < starts.Length; i++)
        {
            var (from, to) = (starts[i], i + 1 < starts.Length ? starts[i + 1] : Length);
            loss += alone.ComputeGradient(tokens.AsSpan(from, to - from + 1), 1, to - from);
            for (var k = 0; k < gradients.Length; k++) gradients[k] += alone.Gradients[k];
            logits.AddRange(alone.ComputeLogits(tokens.AsSpan(from, to - from)));
        }

        Assert.Equal(logits, packed.ComputeLogits(tokens.AsSpan(0, Length))); // to the bit
        Assert.Equal(loss, packed.ComputeGradient(tokens, 1, Length), 1e-9);
        for (var k = 0; k < gradients.Length; k++) Assert.Equal(gradients[k], packed.Gradients[k], 2e-5);
        Assert.NotEqual(logits, alone.ComputeLogits(tokens.AsSpan(0, Length)));
    }

    [Fact]
    public void Sequences_of_a_batch_have_their_own_documents()
    {
        using var model = new LanguageModel(Small.Config, ArithmeticChoice.Exact, Separate);
        model.Initialize(3);
        var tokens = Small.Tokens(2 * 17);
        (tokens[5], tokens[17 + 11]) = (Start, Start);
        var both = model.ComputeLoss(tokens, 2, 16);
        Assert.Equal(both, model.ComputeLoss(tokens.AsSpan(0, 17), 1, 16) + model.ComputeLoss(tokens.AsSpan(17), 1, 16), 1e-9);
    }

    [Fact]
    public void Without_a_boundary_nothing_changes()
    {
        using var model = new LanguageModel(Small.Config, ArithmeticChoice.Exact, Separate);
        using var plain = new LanguageModel(Small.Config, ArithmeticChoice.Exact);
        model.Initialize(3);
        plain.Initialize(3);
        var tokens = Small.Tokens(3 * 17).Select(token => token == Start ? Start + 1 : token).ToArray();
        Assert.Equal(plain.ComputeGradient(tokens, 3, 16), model.ComputeGradient(tokens, 3, 16));
        Assert.True(plain.Gradients.SequenceEqual(model.Gradients));
    }
}
