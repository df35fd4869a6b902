using Aisle.Training.Numerics;
using CsCheck;

namespace Aisle.Training.Tests.Numerics;

public sealed class OptimizerTests
{
    private static readonly OptimizerOptions[] s_all =
    [
        new AdamWOptions(), new AdamOptions { WeightDecay = 0.01 }, new SgdOptions { Momentum = 0, WeightDecay = 0.01 }, new SgdOptions { WeightDecay = 0.01 },
        new SgdOptions { Nesterov = true }, new LionOptions(),
    ];

    private static readonly Gen<(OptimizerOptions Options, int Length, int Seed)> s_cases = Gen.Select(Consts.Of(s_all), Gen.Int[1, 60], Gen.Int);

    [Fact]
    public void The_vector_form_gives_the_bits_of_single_floats_one_at_a_time() =>
        s_cases.Sample((options, length, seed) =>
        {
            var (numbers, scalar) = (new Parameters(options, length, seed), new Parameters(options, length, seed));
            for (var step = 0; step < 3; step++)
            {
                numbers.Update(options, [new ParameterRun(0, length, ParameterKind.Decayed)], 1e-2, 0.7f);
                ScalarForm.Update(options, scalar, 1e-2, 0.7f);
            }
            Assert.Equal(scalar.Weights, numbers.Weights);
            Assert.Equal(scalar.State, numbers.State);
        });

    [Fact]
    public void Updating_ranges_in_any_order_gives_the_bits_of_updating_the_whole() =>
        s_cases.Sample((options, length, seed) =>
        {
            var random = new Random(seed);
            ParameterRun[] runs =
            [
                new(0, length / 4, ParameterKind.Decayed), new(length / 4, length / 2 - length / 4, ParameterKind.RunningAverage, 0.3f),
                new(length / 2, length / 4, ParameterKind.Frozen), new(length / 2 + length / 4, length - length / 2 - length / 4, ParameterKind.Undecayed),
            ];
            var (whole, cut) = (new Parameters(options, length, seed), new Parameters(options, length, seed));
            for (var step = 0; step < 3; step++)
            {
                whole.Update(options, runs, 1e-2, 1);
                var bounds = Enumerable.Range(0, 3).Select(_ => random.Next(length + 1)).Append(0).Append(length).Order().ToArray();
                var ranges = bounds.Zip(bounds.Skip(1)).ToArray();
                random.Shuffle(ranges);
                var powers = options.Create().Next(cut.Powers);
                foreach (var (start, end) in ranges)
                {
                    // As a shard's owner has it: its own small arenas, and nothing of the rest.
                    float[] state = [.. Enumerable.Range(0, options.Create().Slots.Count).SelectMany(slot => cut.State.Skip(slot * length + start).Take(end - start))];
                    var range = new ParameterRange(start, cut.Weights.AsSpan(start..end), cut.Gradient.AsSpan(start..end), state, end - start);
                    options.Create().Update(range, runs, new UpdateStep(1e-2, 1, powers));
                    for (var slot = 0; slot < options.Create().Slots.Count; slot++) state.AsSpan(slot * (end - start), end - start).CopyTo(cut.State.AsSpan(slot * length + start));
                }
                cut.Powers = powers;
            }
            Assert.Equal(whole.Weights, cut.Weights);
            Assert.Equal(whole.State, cut.State);
        });

    [Fact]
    public void Frozen_parameters_and_their_state_keep_their_bits_whatever_stands_in_their_gradient()
    {
        foreach (var options in s_all)
        {
            var numbers = new Parameters(options, 40, seed: 1);
            numbers.Gradient[15] = 1e30f;
            var before = (Weights: numbers.Weights.ToArray(), State: numbers.State.ToArray());
            ParameterRun[] runs = [new(0, 10, ParameterKind.Decayed), new(10, 20, ParameterKind.Frozen), new(30, 10, ParameterKind.Undecayed)];
            numbers.Update(options, runs, 0.1, GradientNorm.ClipFactor(GradientNorm.Of(numbers.Gradient, runs), 1));
            Assert.Equal(before.Weights[10..30], numbers.Weights[10..30]);
            Assert.NotEqual(before.Weights[5], numbers.Weights[5]);
            Assert.NotEqual(before.Weights[35], numbers.Weights[35]);
            for (var slot = 0; slot < numbers.State.Length / 40; slot++) Assert.Equal(before.State[(slot * 40 + 10)..(slot * 40 + 30)], numbers.State[(slot * 40 + 10)..(slot * 40 + 30)]);
        }
    }

    [Fact]
    public void A_running_average_follows_its_statistic_and_is_neither_clipped_nor_counted_in_the_norm()
    {
        float[] weights = [1, 1, 10], gradient = [3, 4, 1000];
        ParameterRun[] runs = [new(0, 2, ParameterKind.Undecayed), new(2, 1, ParameterKind.RunningAverage, 0.25f)];
        Assert.Equal(5, GradientNorm.Of(gradient, runs));
        var clip = GradientNorm.ClipFactor(GradientNorm.Of(gradient, runs), 1);
        Assert.Equal(0.2f, clip);
        new Sgd(new SgdOptions { Momentum = 0 }).Update(new ParameterRange(0, weights, gradient, [], 3), runs, new UpdateStep(0.5, clip, OptimizerPowers.Initial));
        Assert.Equal([1 - 0.5f * (3 * 0.2f), 1 - 0.5f * (4 * 0.2f), 10 + 0.25f * 990], weights);
    }

    [Fact]
    public void Runs_must_cover_the_parameters_in_order()
    {
        ParameterRuns.Check([new(0, 3, ParameterKind.Decayed), new(3, 2, ParameterKind.Frozen)], 5);
        foreach (ParameterRun[] wrong in (ParameterRun[][])
        [
            [new(0, 3, ParameterKind.Decayed)], [new(0, 3, ParameterKind.Decayed), new(4, 1, ParameterKind.Decayed)], [new(0, 6, ParameterKind.Decayed)],
            [new(0, 5, ParameterKind.RunningAverage, float.NaN)],
        ])
        {
            Assert.Equal("AISLE-5162", Assert.Throws<AisleException>(() => ParameterRuns.Check(wrong, 5)).Code);
        }
    }

    [Fact]
    public void Updates_follow_the_published_algorithms()
    {
        foreach (var options in s_all)
        {
            var numbers = new Parameters(options, 8, seed: 3);
            Array.Clear(numbers.State);
            double[] w = [.. numbers.Weights.Select(weight => (double)weight)];
            var (m, v) = (new double[8], new double[8]);
            for (var step = 1; step <= 20; step++)
            {
                for (var i = 0; i < 8; i++) numbers.Gradient[i] = MathF.Sin(step * (i + 1)) * 0.3f;
                numbers.Update(options, [new ParameterRun(0, 8, ParameterKind.Decayed)], 0.01, 1);
                for (var i = 0; i < 8; i++) w[i] = Published(options, w[i], ref m[i], ref v[i], numbers.Gradient[i], 0.01, step);
            }
            for (var i = 0; i < 8; i++) Assert.Equal(w[i], numbers.Weights[i], 2e-5);
        }
    }

    // Written from the papers, in double, with bias corrections where the papers have them.
    private static double Published(OptimizerOptions options, double w, ref double m, ref double v, double g, double rate, int t)
    {
        switch (options)
        {
            case AdamWOptions o:
                w -= rate * o.WeightDecay * w;
                return w - AdamStep(ref m, ref v, g, rate, t, o.Beta1, o.Beta2, o.Epsilon);
            case AdamOptions o:
                return w - AdamStep(ref m, ref v, g + o.WeightDecay * w, rate, t, o.Beta1, o.Beta2, o.Epsilon);
            case SgdOptions o:
                g += o.WeightDecay * w;
                m = o.Momentum * m + g;
                return w - rate * (o.Nesterov ? g + o.Momentum * m : m);
            case LionOptions o:
                var update = Math.Sign(o.Beta1 * m + (1 - o.Beta1) * g);
                m = o.Beta2 * m + (1 - o.Beta2) * g;
                return w - rate * (update + o.WeightDecay * w);
            default:
                throw new InvalidOperationException();
        }
    }

    private static double AdamStep(ref double m, ref double v, double g, double rate, int t, double beta1, double beta2, double epsilon)
    {
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        return rate * (m / (1 - Math.Pow(beta1, t))) / (Math.Sqrt(v / (1 - Math.Pow(beta2, t))) + epsilon);
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
    public void A_linear_schedule_falls_in_a_line_and_a_constant_one_stays()
    {
        var linear = new LearningRate(Peak: 1e-3, Floor: 1e-4, WarmupSteps: 10, Steps: 110, ScheduleShape.Linear);
        Assert.Equal(5e-4, linear.At(4), 1e-12);
        Assert.Equal(1e-3, linear.At(10), 1e-12);
        Assert.Equal(1e-3 - 9e-4 * 0.25, linear.At(35), 1e-12);
        Assert.Equal(1e-4, linear.At(110), 1e-12);
        var constant = linear with { Shape = ScheduleShape.Constant };
        Assert.Equal(5e-4, constant.At(4), 1e-12);
        Assert.Equal(1e-3, constant.At(10), 1e-12);
        Assert.Equal(1e-3, constant.At(1000), 1e-12);
    }

    [Fact]
    public void A_gradient_longer_than_the_limit_is_clipped_to_it()
    {
        var gradient = Enumerable.Range(0, 70_001).Select(i => MathF.Sin(i)).ToArray();
        ParameterRun[] runs = [new(0, 70_001, ParameterKind.Decayed)];
        var norm = Math.Sqrt(gradient.Sum(g => (double)g * g));
        Assert.Equal(norm, GradientNorm.Of(gradient, runs), norm * 1e-12);
        Assert.Equal((float)(1 / norm), GradientNorm.ClipFactor(GradientNorm.Of(gradient, runs), 1), 1e-9f);
        Assert.Equal(1f, GradientNorm.ClipFactor(norm, norm * 2));
        Assert.Equal(1f, GradientNorm.ClipFactor(norm, 0));
        // How the runs are cut is no part of the value.
        Assert.Equal(GradientNorm.Of(gradient, runs), GradientNorm.Of(gradient, [new(0, 69, ParameterKind.Decayed), new(69, 66_000, ParameterKind.Undecayed), new(66_069, 3932, ParameterKind.Decayed)]));
    }
}

/// <summary>A few made-up parameters with all that an update needs.</summary>
internal sealed class Parameters
{
    public Parameters(OptimizerOptions options, int length, int seed)
    {
        var random = new Random(seed);
        float[] Numbers(int count, float scale) => [.. Enumerable.Range(0, count).Select(_ => ((float)random.NextDouble() - 0.5f) * scale)];
        (Weights, Gradient) = (Numbers(length, 1), Numbers(length, 2));
        // Positive, because a variance is.
        State = [.. Numbers(options.Create().Slots.Count * length, 0.1f).Select(Math.Abs)];
    }

    public float[] Weights { get; }

    public float[] Gradient { get; }

    public float[] State { get; }

    public OptimizerPowers Powers { get; set; } = OptimizerPowers.Initial;

    public void Update(OptimizerOptions options, IReadOnlyList<ParameterRun> runs, double rate, float clip)
    {
        var optimizer = options.Create();
        Powers = optimizer.Next(Powers);
        optimizer.Update(new ParameterRange(0, Weights, Gradient, State, Weights.Length), runs, new UpdateStep(rate, clip, Powers));
    }
}

/// <summary>The updates once more with single floats: what every machine must get, with or without vectors.</summary>
internal static class ScalarForm
{
    public static void Update(OptimizerOptions options, Parameters p, double rate, float clip)
    {
        var powers = p.Powers = options.Create().Next(p.Powers);
        var length = p.Weights.Length;
        for (var i = 0; i < length; i++)
        {
            ref var w = ref p.Weights[i];
            var g = p.Gradient[i] * clip;
            switch (options)
            {
                case AdamWOptions o:
                    w = (w * (float)(1 - rate * o.WeightDecay)) - Move(o.Beta1, o.Beta2, o.Epsilon, g, ref p.State[i], ref p.State[length + i]);
                    break;
                case AdamOptions o:
                    w -= Move(o.Beta1, o.Beta2, o.Epsilon, g + ((float)o.WeightDecay * w), ref p.State[i], ref p.State[length + i]);
                    break;
                case SgdOptions { Momentum: 0 } o:
                    w -= (float)rate * (g + ((float)o.WeightDecay * w));
                    break;
                case SgdOptions o:
                    g += (float)o.WeightDecay * w;
                    p.State[i] = ((float)o.Momentum * p.State[i]) + g;
                    w -= (float)rate * (o.Nesterov ? g + ((float)o.Momentum * p.State[i]) : p.State[i]);
                    break;
                case LionOptions o:
                    var direction = ((float)o.Beta1 * p.State[i]) + ((float)(1 - o.Beta1) * g);
                    p.State[i] = ((float)o.Beta2 * p.State[i]) + ((float)(1 - o.Beta2) * g);
                    w = (w * (float)(1 - rate * o.WeightDecay)) - ((float)rate * Math.Sign(direction));
                    break;
            }
        }

        float Move(double beta1, double beta2, double epsilon, float slope, ref float mean, ref float variance)
        {
            mean = ((float)beta1 * mean) + ((float)(1 - beta1) * slope);
            variance = ((float)beta2 * variance) + ((float)(1 - beta2) * (slope * slope));
            var denominator = (MathF.Sqrt(variance) * (float)(1 / Math.Sqrt(1 - powers.Beta2))) + (float)epsilon;
            return ((float)(rate / (1 - powers.Beta1)) * mean) / denominator;
        }
    }
}
