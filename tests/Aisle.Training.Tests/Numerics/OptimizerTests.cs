using Aisle.Training.Numerics;
using CsCheck;

namespace Aisle.Training.Tests.Numerics;

public sealed class OptimizerTests
{
    [Fact]
    public void The_vector_form_gives_the_bits_of_the_scalar_form() =>
        Gen.Select(Gen.Int[1, 60], Gen.Int).Sample((length, seed) =>
        {
            var random = new Random(seed);
            float[] Numbers(float scale) => [.. Enumerable.Range(0, length).Select(_ => ((float)random.NextDouble() - 0.5f) * scale)];
            var gradient = Numbers(2);
            var (weights, mean, variance) = (Numbers(1), Numbers(0.1f), Numbers(0.01f).Select(Math.Abs).ToArray());
            var (otherWeights, otherMean, otherVariance) = (weights.ToArray(), mean.ToArray(), variance.ToArray());

            var whole = new AdamW(new AdamWOptions());
            whole.Update(weights, mean, variance, gradient, [new ParameterRun(0, length, true)], 1e-3, 0.7f);
            // Runs of one element leave nothing for the vector form.
            var single = new AdamW(new AdamWOptions());
            single.Update(otherWeights, otherMean, otherVariance, gradient, [.. Enumerable.Range(0, length).Select(i => new ParameterRun(i, 1, true))], 1e-3, 0.7f);
            Assert.Equal(otherWeights, weights);
            Assert.Equal(otherMean, mean);
            Assert.Equal(otherVariance, variance);
        });

    [Fact]
    public void Updates_follow_the_published_algorithm()
    {
        var options = new AdamWOptions { Beta1 = 0.9, Beta2 = 0.999, Epsilon = 1e-8, WeightDecay = 0.01 };
        var optimizer = new AdamW(options);
        float[] weights = [0.5f, -0.25f], mean = [0, 0], variance = [0, 0];
        double[] expected = [0.5, -0.25];
        var (m, v) = (new double[2], new double[2]);
        for (var step = 1; step <= 20; step++)
        {
            float[] gradient = [0.1f * step, -0.02f];
            optimizer.Update(weights, mean, variance, gradient, [new ParameterRun(0, 1, true), new ParameterRun(1, 1, false)], 0.01, 1);
            for (var i = 0; i < 2; i++)
            {
                m[i] = 0.9 * m[i] + 0.1 * gradient[i];
                v[i] = 0.999 * v[i] + 0.001 * gradient[i] * gradient[i];
                if (i == 0) expected[i] -= 0.01 * 0.01 * expected[i];
                expected[i] -= 0.01 * (m[i] / (1 - Math.Pow(0.9, step))) / (Math.Sqrt(v[i] / (1 - Math.Pow(0.999, step))) + 1e-8);
            }
        }
        Assert.Equal(expected[0], weights[0], 1e-5);
        Assert.Equal(expected[1], weights[1], 1e-5);
    }

    [Fact]
    public void The_cosine_is_right_to_the_last_places()
    {
        for (var i = 0; i <= 1000; i++) Assert.Equal(Math.Cos(Math.PI * i / 1000), LearningRate.CosineOfHalfTurns(i / 1000.0), 1e-15);
    }

    [Fact]
    public void The_rate_warms_up_to_its_peak_and_ends_at_its_floor()
    {
        var rate = new LearningRate(Peak: 1e-3, Floor: 1e-4, WarmupSteps: 10, Steps: 100);
        Assert.Equal(1e-4, rate.At(0), 1e-12);
        Assert.Equal(1e-3, rate.At(9), 1e-12);
        Assert.Equal(1e-3, rate.At(10), 1e-12);
        Assert.Equal(5.5e-4, rate.At(55), 1e-12);
        Assert.Equal(1e-4, rate.At(100), 1e-12);
        for (var step = 11; step < 100; step++) Assert.True(rate.At(step) < rate.At(step - 1));
    }

    [Fact]
    public void A_gradient_longer_than_the_limit_is_clipped_to_it()
    {
        var gradient = Enumerable.Range(0, 70_001).Select(i => MathF.Sin(i)).ToArray();
        var norm = Math.Sqrt(gradient.Sum(g => (double)g * g));
        Assert.Equal(norm, GradientNorm.Of(gradient), norm * 1e-12);
        Assert.Equal((float)(1 / norm), GradientNorm.ClipFactor(GradientNorm.Of(gradient), 1), 1e-9f);
        Assert.Equal(1f, GradientNorm.ClipFactor(norm, norm * 2));
        Assert.Equal(1f, GradientNorm.ClipFactor(norm, 0));
    }
}
