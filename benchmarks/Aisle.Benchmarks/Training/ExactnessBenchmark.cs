using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Aisle.Training;
using Aisle.Training.LanguageModels;
using Aisle.Training.Numerics;

namespace Aisle.Benchmarks.Training;

/// <summary>
/// What one worker's step costs more because sums are 64-bit fixed point, in which order cannot matter, than with floats added as they come. The same
/// model, slices and update in one process, a step of one kind after a step of the other.
/// </summary>
internal static class ExactnessBenchmark
{
    public static async IAsyncEnumerable<CaseResult> RunAsync(bool isSmall)
    {
        var (uncounted, counted) = isSmall ? (2, 3) : (4, 21);
        using var setting = TrainingSetting.Create(isSmall, steps: 1000);
        var exact = new List<double>();
        var floats = new List<double>();
        await Task.Run(() =>
        {
            using var model = new LanguageModelTraining(setting.Recipe, setting.Folder);
            var trained = new Trained(model, setting.Recipe);
            model.Initialize(setting.Recipe.Seed);
            for (var turn = 0; turn < uncounted + counted; turn++)
            {
                // Which of the two comes first changes from turn to turn: a neighbour's load that grows or shrinks meanwhile hits both alike.
                var isExactFirst = turn % 2 == 0;
                var first = trained.Step(turn, isExactFirst);
                var second = trained.Step(turn, !isExactFirst);
                if (turn < uncounted) continue;
                exact.Add(isExactFirst ? first : second);
                floats.Add(isExactFirst ? second : first);
            }
        });
        yield return CaseResult.OfTimes("exactness", "1 worker", "ms", exact, floats, "the same engine summing floats in arrival order");
    }

    private sealed class Trained(LanguageModelTraining model, TrainingRecipe recipe)
    {
        private readonly long[] _exact = new long[model.ParameterCount];
        private readonly float[] _floats = new float[model.ParameterCount];
        private readonly float[] _gradient = new float[model.ParameterCount];
        private readonly float[] _state = new float[recipe.Optimizer.Create().Slots.Count * model.ParameterCount];
        private readonly IOptimizer _optimizer = recipe.Optimizer.Create();
        private OptimizerPowers _powers = OptimizerPowers.Initial;

        /// <returns>Milliseconds.</returns>
        public double Step(long step, bool isExact)
        {
            var start = Stopwatch.GetTimestamp();
            for (var slice = 0; slice < recipe.Slices; slice++)
            {
                var isFirst = slice == 0;
                model.ComputeSlice(step, slice, (offset, length) =>
                {
                    var gradient = model.Gradients.Slice(offset, length);
                    if (isExact) FixedPoint.Accumulate(gradient, _exact.AsSpan(offset, length), recipe.SumFractionBits, isFirst);
                    else Add(gradient, _floats.AsSpan(offset, length), isFirst);
                });
            }
            if (isExact) FixedPoint.Mean(_exact, _gradient, recipe.SumFractionBits, model.TokensIn(step));
            else Scale(_floats, _gradient, 1f / model.TokensIn(step));
            _powers = _optimizer.Next(_powers);
            var clip = GradientNorm.ClipFactor(GradientNorm.Of(_gradient, model.Runs), recipe.ClipNorm);
            _optimizer.Update(new ParameterRange(0, model.Weights, _gradient, _state, model.ParameterCount), model.Runs, new UpdateStep(recipe.Schedule.At(step), clip, _powers));
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        private static void Add(ReadOnlySpan<float> gradient, Span<float> sum, bool isFirst)
        {
            if (isFirst)
            {
                gradient.CopyTo(sum);
                return;
            }
            ref var source = ref MemoryMarshal.GetReference(gradient);
            ref var target = ref MemoryMarshal.GetReference(sum);
            var i = 0;
            for (; i + Vector256<float>.Count <= sum.Length; i += Vector256<float>.Count)
            {
                (Vector256.LoadUnsafe(ref target, (nuint)i) + Vector256.LoadUnsafe(ref source, (nuint)i)).StoreUnsafe(ref target, (nuint)i);
            }
            for (; i < sum.Length; i++) sum[i] += gradient[i];
        }

        private static void Scale(ReadOnlySpan<float> sum, Span<float> mean, float factor)
        {
            for (var i = 0; i < sum.Length; i++) mean[i] = sum[i] * factor;
        }
    }
}
