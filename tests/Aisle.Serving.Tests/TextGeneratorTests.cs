namespace Aisle.Serving.Tests;

public sealed class TextGeneratorTests(SmallModel model) : IClassFixture<SmallModel>
{
    [Fact]
    public void The_same_seed_continues_the_same_way_and_another_does_not()
    {
        var options = new GenerationOptions { MaxTokens = 30, Seed = 5 };
        Assert.Equal(Text("The house", options), Text("The house", options));
        Assert.NotEqual(Text("The house", options), Text("The house", options with { Seed = 6 }));
    }

    [Fact]
    public void It_ends_after_the_tokens_asked_for_and_counts_them()
    {
        var generation = Ended(new GenerationOptions { MaxTokens = 7, Temperature = 0 });
        Assert.Equal(7, generation.CompletionTokens);
        Assert.Equal(FinishReason.Length, generation.Finish);
        Assert.Equal(model.Tokenizer.Encode("The house").Length, generation.PromptTokens);
    }

    [Fact]
    public void A_stop_text_ends_it_and_is_left_out()
    {
        var options = new GenerationOptions { MaxTokens = 40, Seed = 5 };
        var whole = Text("The house", options);
        var stop = whole.Substring(whole.Length / 2, 2);
        var generation = model.Generator.Start("The house", options with { Stop = [stop] });
        Assert.Equal(whole[..whole.IndexOf(stop, StringComparison.Ordinal)], string.Concat(generation.Run()));
        Assert.Equal(FinishReason.Stop, generation.Finish);
        Assert.True(generation.CompletionTokens < 40);
    }

    [Fact]
    public void A_long_prompt_loses_its_beginning_and_nothing_else()
    {
        var options = new GenerationOptions { MaxTokens = 10, Temperature = 0 };
        var prompt = string.Concat(Enumerable.Range(0, 500).Select(i => (char)('a' + i % 26)));
        var generation = model.Generator.Start(prompt, options);
        Assert.Equal(SmallModel.ContextTokens - 10 + 1, generation.PromptTokens);
        var last = model.Tokenizer.Decode(model.Tokenizer.Encode(prompt).AsSpan()[^generation.PromptTokens..]);
        Assert.Equal(Text(last, options), string.Concat(generation.Run()));
        Assert.Equal(10, generation.CompletionTokens);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a whole context of answer")]
    public void The_context_can_be_filled_to_its_end(string prompt)
    {
        var generation = model.Generator.Start(prompt, new GenerationOptions { MaxTokens = SmallModel.ContextTokens, Seed = 3 });
        foreach (var piece in generation.Run()) Assert.NotEqual("", piece);
        Assert.NotNull(generation.Finish);
        Assert.Throws<ArgumentOutOfRangeException>(() => model.Generator.Start(prompt, new GenerationOptions { MaxTokens = SmallModel.ContextTokens + 1 }));
    }

    [Fact]
    public void A_cancelled_generation_stops_between_two_tokens()
    {
        using var cancel = new CancellationTokenSource();
        var generation = model.Generator.Start("x", new GenerationOptions { MaxTokens = 60, Seed = 5 });
        Assert.Throws<OperationCanceledException>(() =>
        {
            foreach (var _ in generation.Run(cancel.Token)) cancel.Cancel();
        });
        Assert.Null(generation.Finish);
        Assert.InRange(generation.CompletionTokens, 1, 10);
    }

    private Generation Ended(GenerationOptions options)
    {
        var generation = model.Generator.Start("The house", options);
        foreach (var _ in generation.Run())
        {
        }

        return generation;
    }

    private string Text(string prompt, GenerationOptions options) => string.Concat(model.Generator.Start(prompt, options).Run());
}
