namespace Aisle.Serving.Tests;

public sealed class SamplerTests
{
    private static readonly float[] Scores = [MathF.Log(1), MathF.Log(5), MathF.Log(3), MathF.Log(1)];

    [Fact]
    public void Without_temperature_the_likeliest_token_is_taken_and_of_equals_the_first()
    {
        Assert.Equal(1, new Sampler(new GenerationOptions { Temperature = 0 }).Pick(Scores));
        Assert.Equal(0, new Sampler(new GenerationOptions { Temperature = 0 }).Pick([2, 2, 2]));
    }

    [Fact]
    public void Tokens_come_as_often_as_the_model_says()
    {
        var drawn = Draw(new GenerationOptions { Seed = 1 });
        Assert.Equal(0.1, drawn[0], 0.02);
        Assert.Equal(0.5, drawn[1], 0.02);
        Assert.Equal(0.3, drawn[2], 0.02);
    }

    [Fact]
    public void A_higher_temperature_evens_out_the_odds()
    {
        // At 2 the odds are the square roots: 1, 2.24, 1.73, 1.
        var drawn = Draw(new GenerationOptions { Seed = 1, Temperature = 2 });
        Assert.Equal(Math.Sqrt(5) / (2 + Math.Sqrt(5) + Math.Sqrt(3)), drawn[1], 0.02);
    }

    [Fact]
    public void Top_k_and_top_p_leave_the_unlikely_out()
    {
        Assert.Equal([0, 0.625, 0.375, 0], Draw(new GenerationOptions { Seed = 1, TopK = 2 }).Select(share => Math.Round(share / 0.125) * 0.125));
        Assert.Equal([0, 0.625, 0.375, 0], Draw(new GenerationOptions { Seed = 1, TopP = 0.7 }).Select(share => Math.Round(share / 0.125) * 0.125));
        Assert.Equal([0, 1, 0, 0], Draw(new GenerationOptions { Seed = 1, TopP = 0.3 }));
    }

    [Fact]
    public void The_same_seed_draws_the_same_tokens()
    {
        var (one, same, other) = (Sequence(1), Sequence(1), Sequence(2));
        Assert.Equal(one, same);
        Assert.NotEqual(one, other);

        static List<int> Sequence(ulong seed)
        {
            var sampler = new Sampler(new GenerationOptions { Seed = seed });
            return [.. Enumerable.Range(0, 50).Select(_ => sampler.Pick(Scores))];
        }
    }

    [Fact]
    public void Scores_that_are_no_numbers_are_an_error() =>
        Assert.Equal("AISLE-6003", Assert.Throws<AisleException>(() => new Sampler(new GenerationOptions()).Pick([float.NaN, float.NaN])).Code);

    private static double[] Draw(GenerationOptions options)
    {
        const int Draws = 20_000;
        var sampler = new Sampler(options);
        var counts = new double[Scores.Length];
        for (var i = 0; i < Draws; i++) counts[sampler.Pick(Scores)]++;
        return [.. counts.Select(count => count / Draws)];
    }
}
