using System.Runtime.Intrinsics;
using CsCheck;

namespace Aisle.Tensors.Tests;

public sealed class PrecisionAndRecomputationTests(ITestOutputHelper output)
{
    private static readonly LanguageModelOptions BFloat16Weights = new() { Precision = WeightPrecision.BFloat16 };
    private static readonly LanguageModelOptions Recomputing = new() { Recompute = true };

    [Fact]
    public void Rounding_to_bfloat16_takes_the_nearest_and_on_a_tie_the_even() =>
        Gen.UInt.Sample(bits =>
        {
            var value = BitConverter.UInt32BitsToSingle(bits);
            var rounded = BFloat16.Widen(BFloat16.Round(value));
            Assert.Equal(BitConverter.SingleToUInt32Bits(rounded), BitConverter.SingleToUInt32Bits(BFloat16.Round(Vector512.Create(value))[5]));
            if (float.IsNaN(value))
            {
                Assert.True(float.IsNaN(rounded));
                return;
            }

            if (!float.IsFinite(rounded)) return;
            // The neighbours are one step of the upper half away; none is nearer, and of two as near the even one is taken.
            var up = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(rounded) + 0x10000);
            var down = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(rounded) - 0x10000);
            var distance = Math.Abs((double)value - rounded);
            foreach (var neighbour in (float[])[up, down])
            {
                if (!float.IsFinite(neighbour) || Math.Sign(neighbour) * Math.Sign(rounded) < 0) continue;
                var other = Math.Abs((double)value - neighbour);
                Assert.True(distance < other || (distance == other && (BitConverter.SingleToUInt32Bits(rounded) >> 16) % 2 == 0), $"{value:R} became {rounded:R}");
            }
        }, iter: 100_000);

    [Theory]
    [InlineData(ModelFamily.Llama)]
    [InlineData(ModelFamily.Qwen2)]
    [InlineData(ModelFamily.Gpt2)]
    public void A_model_of_bfloat16_weights_computes_what_rounded_weights_compute_and_keeps_its_own(ModelFamily family)
    {
        var config = Small.Config with { Family = family };
        using var model = new LanguageModel(config, ArithmeticChoice.Exact, BFloat16Weights);
        using var rounded = new LanguageModel(config, ArithmeticChoice.Exact);
        model.Initialize(3);
        Small.FillBiases(model);
        var own = model.Weights.ToArray();
        for (var i = 0; i < own.Length; i++) rounded.Weights[i] = BFloat16.Widen(BFloat16.Round(own[i]));
        var tokens = Small.Tokens(3 * 17);
        Assert.Equal(rounded.ComputeGradient(tokens, 3, 16), model.ComputeGradient(tokens, 3, 16));
        Assert.True(model.Gradients.SequenceEqual(rounded.Gradients));
        Assert.True(model.Weights.SequenceEqual(own));
        Assert.NotEqual(own, rounded.Weights.ToArray());

        // Norms and biases that an update has moved are rounded anew.
        for (var i = 0; i < own.Length; i++)
        {
            model.Weights[i] -= 0.01f * model.Gradients[i];
            rounded.Weights[i] = BFloat16.Widen(BFloat16.Round(model.Weights[i]));
        }

        Assert.Equal(rounded.ComputeGradient(tokens, 3, 16), model.ComputeGradient(tokens, 3, 16));
        Assert.True(model.Gradients.SequenceEqual(rounded.Gradients));
    }

    [Fact]
    public void A_model_of_bfloat16_weights_is_stored_in_half_the_bytes_and_says_the_same_when_read_as_float32()
    {
        using var folder = new TemporaryFolder();
        using var model = new LanguageModel(Small.Config, ArithmeticChoice.Exact, BFloat16Weights);
        model.Initialize(3);
        model.Save(folder.Path);
        Assert.InRange(new FileInfo(Path.Combine(folder.Path, "model.safetensors")).Length, 2L * model.ParameterCount, 2L * model.ParameterCount + 4096);
        using var read = LanguageModel.Load(folder.Path);
        Assert.Equal(model.ComputeLogits(Small.Tokens(24)), read.ComputeLogits(Small.Tokens(24)));
    }

    [Theory]
    [InlineData(ModelFamily.Llama, 1)]
    [InlineData(ModelFamily.Llama, 4)]
    [InlineData(ModelFamily.Gpt2, 3)]
    public void Recomputed_activations_give_the_same_bits(ModelFamily family, int layers)
    {
        var config = Small.Config with { Family = family, Layers = layers };
        using var kept = new LanguageModel(config, ArithmeticChoice.Exact);
        using var recomputed = new LanguageModel(config, ArithmeticChoice.Exact, Recomputing);
        foreach (var model in (LanguageModel[])[kept, recomputed])
        {
            model.Initialize(3);
            Small.FillBiases(model);
        }

        for (var step = 0; step < 2; step++)
        {
            var tokens = Small.Tokens(3 * 17, seed: step);
            Assert.Equal(kept.ComputeGradient(tokens, 3, 16), recomputed.ComputeGradient(tokens, 3, 16));
            Assert.True(kept.Gradients.SequenceEqual(recomputed.Gradients));
        }
    }

    [Fact]
    public void Recomputation_needs_a_fraction_of_the_memory()
    {
        var config = Small.Config with { Layers = 8, Width = 64, FeedForward = 172, ContextTokens = 64 };
        var (kept, recomputed) = (Activations(config, new LanguageModelOptions()), Activations(config, Recomputing));
        output.WriteLine($"activations of 8 layers, 8 sequences of 64: {kept / 1048576.0:F1} MiB kept, {recomputed / 1048576.0:F1} MiB recomputed");
        Assert.True(recomputed < 0.3 * kept, $"{recomputed} of {kept}");
    }

    // As counted where memory is taken, not as a formula has it.
    private static long Activations(LanguageModelConfig config, LanguageModelOptions options)
    {
        using var model = new LanguageModel(config, ArithmeticChoice.Exact, options);
        model.Initialize(1);
        var before = NativeFloats.Bytes;
        NativeFloats.ForgetMost();
        model.ComputeGradient(Small.Tokens(8 * 65), 8, 64);
        return NativeFloats.MostBytes - before;
    }

    [Fact]
    public void Options_that_libtorch_has_not_are_refused()
    {
        Assert.Equal("AISLE-5014", Assert.Throws<AisleException>(() => new LanguageModel(Small.Config, ArithmeticChoice.LibTorch, Recomputing)).Code);
        Assert.Equal("AISLE-5014", Assert.Throws<AisleException>(() => new LanguageModel(Small.Config, ArithmeticChoice.LibTorch, BFloat16Weights)).Code);
    }

    [Fact]
    public void All_memory_is_given_back()
    {
        var before = NativeFloats.Bytes;
        using (var folder = new TemporaryFolder())
        {
            using (var model = new LanguageModel(Small.Config, ArithmeticChoice.Exact, new LanguageModelOptions { Precision = WeightPrecision.BFloat16, Recompute = true }))
            {
                model.Initialize(1);
                model.ComputeGradient(Small.Tokens(17), 1, 16);
                model.Save(folder.Path);
            }

            using var adapted = AdaptedLanguageModel.Load(folder.Path, new LoraOptions(), BFloat16Weights);
            adapted.Initialize(1);
            adapted.ComputeGradient(Small.Tokens(17), 1, 16);
            adapted.SaveMerged(folder.Path + "/merged");
            File.WriteAllText(Path.Combine(folder.Path, "config.json"), (Small.Config with { Layers = 3 }).ToJson());
            Assert.Throws<AisleException>(() => AdaptedLanguageModel.Load(folder.Path, new LoraOptions()));
            Assert.Throws<AisleException>(() => AdaptedLanguageModel.Load(folder.Path, new LoraOptions(), BFloat16Weights));
            Assert.Throws<AisleException>(() => LanguageModel.Load(folder.Path));
        }

        Assert.Equal(before, NativeFloats.Bytes);
    }
}
