using Aisle.Training;
using Aisle.Training.LanguageModels;
using Aisle.Training.Numerics;

namespace Aisle.Benchmarks.Training;

/// <summary>
/// What each way of rounding gradients weighs on the wire, and where the loss ends with it, beside sums of plain floats. One model, one order of samples, one process: nothing
/// but the rounding differs, and every figure repeats to the last digit.
/// </summary>
internal static class CodecsBenchmark
{
    private static readonly Rounding[] s_all =
    [
        new("q40", "q40", null, Owes: false), new("q36", "q36", null, Owes: false), new("q32", "q32", null, Owes: false), new("int8", "int8", null, Owes: false),
        new("int8, mean in int8", "int8", PublishedForm.Int8, Owes: false), new("int8, mean in int8, EF", "int8", PublishedForm.Int8, Owes: true),
        new("q36, mean in bf16, EF", "q36", PublishedForm.BFloat16, Owes: true),
    ];

    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall)
    {
        using var tokens = TrainingSetting.Create(isSmall: true, steps: 1000);
        var floats = await Task.Run(() => Train(isSmall, tokens.Folder, null));
        foreach (var rounding in s_all)
        {
            var trained = await Task.Run(() => Train(isSmall, tokens.Folder, rounding));
            // The mean's form has no part in what travels towards the sum.
            if (rounding.Published is null) yield return CaseResult.OfTimes("codecs", rounding.Name, "B/number", [trained.Bytes], [floats.Bytes], "float32");
            yield return CaseResult.OfTimes("codecs", rounding.Name, "nats", [trained.Loss], [floats.Loss], "float32 sums");
        }
    }

    /// <returns>The mean loss of the last tenth of the steps, and bytes for each number of a packed sum over half of a step's slices: one of two workers' share.</returns>
    private static (double Loss, double Bytes) Train(bool isSmall, string folder, Rounding? rounding)
    {
        var steps = isSmall ? 20 : 400;
        var recipe = TrainingSetting.RecipeOf((isSmall
            ? "slices=4 sequencesPerSlice=1 contextTokens=16 model.layers=1 model.width=32 model.heads=2 model.feedForward=64"
            : "slices=8 sequencesPerSlice=2 contextTokens=64 model.layers=2 model.width=96 model.heads=3 model.feedForward=256")
            .Split(' ').Append($"steps={steps}").Append("optimizer.learningRate=0.003").Append($"codec={rounding?.Codec ?? "fixed"}"));
        using var model = new LanguageModelTraining(recipe, folder);
        model.Initialize(recipe.Seed);
        var count = model.ParameterCount;
        var optimizer = recipe.Optimizer.Create();
        var codec = recipe.Codec == GradientCodec.Int8 ? new Int8Codec(recipe.Seed, recipe.SumFractionBits, model.Runs) : null;
        var (state, powers) = (new float[optimizer.Slots.Count * count], OptimizerPowers.Initial);
        var (sum, floatSum, mean, owed) = (new long[count], new float[count], new float[count], new float[count]);
        var packed = new byte[PackedBlocks.MaxSizeBytes(count)];
        var losses = new List<double>();
        var bytes = new List<double>();
        for (var step = 0; step < steps; step++)
        {
            var loss = 0.0;
            Array.Clear(sum);
            Array.Clear(floatSum);
            for (var slice = 0; slice < recipe.Slices; slice++)
            {
                loss += model.ComputeSlice(step, slice).Sum;
                codec?.Round(model.Gradients, step, slice);
                if (rounding is null) Add(model.Gradients, floatSum);
                else if (!FixedPoint.Accumulate(model.Gradients, sum, recipe.SumFractionBits)) throw new BenchmarkFailedException($"{rounding.Name}: a gradient of step {step} does not fit.");
                if (rounding is not null && slice == recipe.Slices / 2 - 1) bytes.Add(PackedBlocks.Pack(sum, packed) / (double)count);
            }
            losses.Add(loss / model.TokensIn(step));
            if (rounding is null) Scale(floatSum, mean, 1f / model.TokensIn(step));
            else FixedPoint.Mean(sum, mean, recipe.SumFractionBits, model.TokensIn(step));
            if (rounding?.Published is { } form)
            {
                if (!rounding.Owes) Array.Clear(owed);
                PublishedGradient.Round(mean, owed, form);
            }
            powers = optimizer.Next(powers);
            var clip = GradientNorm.ClipFactor(GradientNorm.Of(mean, model.Runs), recipe.ClipNorm);
            optimizer.Update(new ParameterRange(0, model.Weights, mean, state, count), model.Runs, new UpdateStep(recipe.Schedule.At(step), clip, powers));
        }
        if (!(losses[^1] < losses[0])) throw new BenchmarkFailedException($"{rounding?.Name ?? "float32"}: the loss went from {losses[0]} to {losses[^1]}.");
        return (losses.TakeLast(Math.Max(1, steps / 10)).Average(), rounding is null ? sizeof(float) : bytes.Average());
    }

    private static void Add(ReadOnlySpan<float> gradient, Span<float> sum)
    {
        for (var i = 0; i < sum.Length; i++) sum[i] += gradient[i];
    }

    private static void Scale(ReadOnlySpan<float> sum, Span<float> mean, float factor)
    {
        for (var i = 0; i < sum.Length; i++) mean[i] = sum[i] * factor;
    }

    /// <param name="Published">How many bits of the mean its owner publishes; null for all.</param>
    /// <param name="Owes">Whether the owner adds what it left out to the next mean (error feedback).</param>
    private sealed record Rounding(string Name, string Codec, PublishedForm? Published, bool Owes);
}
