namespace Aisle.Tensors.Tests;

public sealed class DecoderTests
{
    public static TheoryData<LanguageModelConfig> Shapes =>
    [
        Small.Config,
        Small.Config with { KeyValueHeads = 2, TiedEmbeddings = false },
        Small.Config with { KeyValueHeads = 1, Width = 36, Heads = 2, FeedForward = 50, VocabularySize = 51 },   // nothing a multiple of the vectors
        Small.Config with { Width = 64, ContextTokens = 96, RotaryBase = 500_000 },
        Small.Config with { Family = ModelFamily.Qwen2, KeyValueHeads = 2 },
        Small.Config with { Family = ModelFamily.Gpt2 },
    ];

    [Theory, MemberData(nameof(Shapes))]
    public void Greedy_tokens_and_logits_are_those_of_the_full_libtorch_pass(LanguageModelConfig config)
    {
        using var model = Small.Model(seed: 3, config);
        for (var i = 0; i < model.ParameterCount; i++) model.Weights[i] *= 2;   // clear winners
        Small.FillBiases(model);
        var decoder = new Decoder(ModelWeights.Copy(config, model.Weights));
        List<int> tokens = [.. Small.Tokens(5)];
        var logits = decoder.Read([.. tokens]);
        while (true)
        {
            var full = model.ComputeLogits([.. tokens])[^config.VocabularySize..];
            for (var i = 0; i < full.Length; i++) Assert.Equal(full[i], logits[i], 1e-4f);
            var next = Array.IndexOf(full, full.Max());
            Assert.Equal(next, logits.IndexOf(logits.ToArray().Max()));
            if (tokens.Count == config.ContextTokens) break;
            tokens.Add(next);
            logits = decoder.Read([next]);
        }
    }

    [Fact]
    public void A_prompt_read_in_any_pieces_gives_the_same_logits()
    {
        var config = Small.Config with { ContextTokens = 80 };
        using var model = Small.Model(config: config);
        var weights = ModelWeights.Copy(config, model.Weights);
        var tokens = Small.Tokens(80);
        var whole = new Decoder(weights).Read(tokens).ToArray();
        var pieces = new Decoder(weights);
        for (var round = 0; round < 2; round++)
        {
            pieces.Reset();
            pieces.Read(tokens.AsSpan(0, 3));
            pieces.Read(tokens.AsSpan(3, 40));
            for (var i = 43; i < 79; i++) pieces.Read(tokens.AsSpan(i, 1));
            Assert.Equal(whole, pieces.Read(tokens.AsSpan(79, 1)).ToArray());
        }
    }

    [Fact]
    public void More_than_the_context_and_unknown_tokens_are_refused()
    {
        using var model = Small.Model();
        var decoder = new Decoder(ModelWeights.Copy(model.Config, model.Weights));
        Assert.Equal("AISLE-5012", Assert.Throws<AisleException>(() => decoder.Read([50])).Code);
        decoder.Read(Small.Tokens(24));
        Assert.Equal("AISLE-5013", Assert.Throws<AisleException>(() => decoder.Read([1])).Code);
    }

    [Fact]
    public void Weights_read_from_files_are_the_models()
    {
        using var folder = new TemporaryFolder();
        using var model = Small.Model();
        model.Save(folder.Path);
        Assert.True(ModelWeights.Load(folder.Path).Values.SequenceEqual(model.Weights));
    }
}
