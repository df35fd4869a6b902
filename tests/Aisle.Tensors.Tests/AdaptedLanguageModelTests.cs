using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using CsCheck;

namespace Aisle.Tensors.Tests;

public sealed class AdaptedLanguageModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<ModelFamily, string[]> Targets => new()
    {
        { ModelFamily.Llama, ["q_proj", "v_proj"] },
        { ModelFamily.Qwen2, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] },
        { ModelFamily.Gpt2, ["c_attn", "c_proj", "c_fc"] },
    };

    [Theory, MemberData(nameof(Targets))]
    public void Adapters_that_have_learnt_nothing_change_no_bit(ModelFamily family, string[] targets)
    {
        using var frozen = Base(family);
        using var adapted = AdaptedLanguageModel.Load(_folder.Path, new LoraOptions { Rank = 3, Targets = [.. targets] });
        adapted.Initialize(1);
        Assert.Equal(frozen.ComputeLogits(Small.Tokens(20)), adapted.ComputeLogits(Small.Tokens(20)));
    }

    [Theory, MemberData(nameof(Targets))]
    public void Gradients_are_libtorchs_of_the_merged_model_carried_to_the_adapters(ModelFamily family, string[] targets)
    {
        using var frozen = Base(family);
        using var adapted = AdaptedLanguageModel.Load(_folder.Path, new LoraOptions { Rank = 3, Alpha = 5, Targets = [.. targets] });
        Fill(adapted);
        using var merged = new TemporaryFolder();
        adapted.SaveMerged(merged.Path);
        using var torch = Merged(merged.Path);
        var tokens = Small.Tokens(3 * 17);
        var loss = torch.ComputeGradient(tokens, 3, 16);
        Assert.Equal(loss / 48, adapted.ComputeGradient(tokens, 3, 16) / 48, 1e-5);
        Assert.Equal(loss / 48, adapted.ComputeLoss(tokens, 3, 16) / 48, 1e-5);
        foreach (var slot in adapted.Slots.Where(slot => slot.Name.EndsWith("lora_A.weight", StringComparison.Ordinal)))
        {
            // W' = W + s·B·A, so dA = s·Bᵀ·dW' and dB = s·dW'·Aᵀ.
            var module = slot.Name["base_model.model.".Length..^".lora_A.weight".Length];
            var other = adapted.Slots.Single(b => b.Name == $"base_model.model.{module}.lora_B.weight");
            var whole = torch.Slots.Single(w => w.Name == $"{module}.weight");
            int inputs = whole.Shape[1], outputs = whole.Shape[0];
            double[] dA = new double[3 * inputs], dB = new double[outputs * 3];
            for (var o = 0; o < outputs; o++)
            {
                for (var i = 0; i < inputs; i++)
                {
                    var dW = 5.0 / 3 * torch.Gradients[whole.Offset + o * inputs + i];
                    for (var r = 0; r < 3; r++)
                    {
                        dA[r * inputs + i] += adapted.Weights[other.Offset + o * 3 + r] * dW;
                        dB[o * 3 + r] += dW * adapted.Weights[slot.Offset + r * inputs + i];
                    }
                }
            }

            AssertClose(dA, adapted.Gradients.Slice(slot.Offset, slot.Length), slot.Name);
            AssertClose(dB, adapted.Gradients.Slice(other.Offset, other.Length), other.Name);
        }
    }

    [Theory, MemberData(nameof(Targets))]
    public void The_merged_model_loads_again_and_says_what_the_adapted_one_says(ModelFamily family, string[] targets)
    {
        using var frozen = Base(family);
        using var adapted = AdaptedLanguageModel.Load(_folder.Path, new LoraOptions { Rank = 4, Targets = [.. targets] });
        Fill(adapted);
        using var merged = new TemporaryFolder();
        adapted.SaveMerged(merged.Path);
        using var loaded = LanguageModel.Load(merged.Path);
        var tokens = Small.Tokens(24);
        var (before, expected, actual) = (frozen.ComputeLogits(tokens), adapted.ComputeLogits(tokens), loaded.ComputeLogits(tokens));
        Assert.True(before.Zip(expected, (a, b) => Math.Abs(a - b)).Max() > 0.1f, "The adapter changes nothing.");
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-4f);
    }

    [Fact]
    public void Every_adapter_gradient_is_announced_once_and_is_final_then()
    {
        using var frozen = Base(ModelFamily.Llama);
        using var adapted = AdaptedLanguageModel.Load(_folder.Path, new LoraOptions { Rank = 2, Targets = ["q_proj", "down_proj"] });
        Fill(adapted);
        adapted.Gradients.Fill(float.NaN);
        var times = new int[adapted.ParameterCount];
        var announced = new float[adapted.ParameterCount];
        adapted.ComputeGradient(Small.Tokens(2 * 17), 2, 16, (offset, length) =>
        {
            adapted.Gradients.Slice(offset, length).CopyTo(announced.AsSpan(offset));
            foreach (ref var count in times.AsSpan(offset, length)) count++;
        });
        Assert.All(times, count => Assert.Equal(1, count));
        Assert.True(adapted.Gradients.SequenceEqual(announced));
    }

    [Fact]
    public void An_adapter_is_stored_as_PEFT_names_it_and_reads_back()
    {
        using var frozen = Base(ModelFamily.Gpt2);
        var lora = new LoraOptions { Rank = 2, Alpha = 8, Targets = ["c_attn"] };
        using var adapted = AdaptedLanguageModel.Load(_folder.Path, lora);
        Fill(adapted);
        using var stored = new TemporaryFolder();
        adapted.SaveAdapter(stored.Path, "models/base");
        var tensors = Safetensors.Read(Path.Combine(stored.Path, "adapter_model.safetensors"));
        Assert.Equal([2, 32], tensors["base_model.model.transformer.h.1.attn.c_attn.lora_A.weight"].Shape);
        Assert.Equal([96, 2], tensors["base_model.model.transformer.h.1.attn.c_attn.lora_B.weight"].Shape);
        Assert.Equal(4, tensors.Count);
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(stored.Path, "adapter_config.json")));
        Assert.Equal("""["LORA",2,8,true,"models/base",["c_attn"],"none"]""", JsonSerializer.Serialize((object[])
            [.. new[] { "peft_type", "r", "lora_alpha", "fan_in_fan_out", "base_model_name_or_path", "target_modules", "bias" }.Select(name => config.RootElement.GetProperty(name))]));

        using var again = AdaptedLanguageModel.Load(_folder.Path, lora);
        again.ReadAdapter(stored.Path);
        Assert.True(again.Weights.SequenceEqual(adapted.Weights));
        using var other = AdaptedLanguageModel.Load(_folder.Path, lora with { Rank = 3 });
        Assert.Equal("AISLE-5016", Assert.Throws<AisleException>(() => other.ReadAdapter(stored.Path)).Code);
    }

    [Fact]
    public void Targets_that_the_model_has_not_and_impossible_ranks_are_named_at_once()
    {
        using var frozen = Base(ModelFamily.Llama);
        var fault = Assert.Throws<AisleException>(() => AdaptedLanguageModel.Load(_folder.Path, new LoraOptions { Rank = 0, Alpha = -1, Targets = ["c_attn", "q_proj"] }));
        Assert.Equal("AISLE-5015", fault.Code);
        Assert.All(["no 'c_attn' among q_proj", "rank is 0", "alpha is -1"], part => Assert.Contains(part, fault.What, StringComparison.Ordinal));
        Assert.Contains("outside 1..32", Assert.Throws<AisleException>(() => AdaptedLanguageModel.CountParameters(Small.Config, new LoraOptions { Rank = 33 })).What, StringComparison.Ordinal);
    }

    [Fact]
    public void Frozen_bfloat16_weights_take_half_the_memory_and_give_the_bits_of_rounded_ones()
    {
        var config = Small.Config with { VocabularySize = 2000, Width = 64, FeedForward = 128 };
        using (var model = Small.Model(config: config, choice: ArithmeticChoice.Exact)) model.Save(_folder.Path);
        var lora = new LoraOptions { Rank = 2 };
        var empty = NativeFloats.Bytes;
        using var half = AdaptedLanguageModel.Load(_folder.Path, lora, new LanguageModelOptions { Precision = WeightPrecision.BFloat16 });
        var halfBytes = NativeFloats.Bytes - empty;
        using (var rounded = LanguageModel.Load(_folder.Path))
        {
            foreach (ref var weight in rounded.Weights) weight = BFloat16.Widen(BFloat16.Round(weight));
            rounded.Save(_folder.Path);
        }

        empty = NativeFloats.Bytes;
        using var full = AdaptedLanguageModel.Load(_folder.Path, lora);
        var fullBytes = NativeFloats.Bytes - empty;
        Assert.Equal(2L * config.ParameterCount, fullBytes - halfBytes, 0.02 * config.ParameterCount);
        Fill(half);
        half.Weights.CopyTo(full.Weights);
        var tokens = Small.Tokens(2 * 17, vocabulary: 2000);
        Assert.Equal(full.ComputeGradient(tokens, 2, 16), half.ComputeGradient(tokens, 2, 16));
        Assert.True(full.Gradients.SequenceEqual(half.Gradients));
        Assert.Equal(full.ComputeLogits(tokens.AsSpan(0, 20)), half.ComputeLogits(tokens.AsSpan(0, 20)));
    }

    [Fact]
    public void Learning_adapters_makes_the_model_say_a_text_it_was_not_made_for()
    {
        using var frozen = Base(ModelFamily.Llama);
        using var adapted = AdaptedLanguageModel.Load(_folder.Path, new LoraOptions { Rank = 4, Targets = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"] });
        adapted.Initialize(1);
        int[] tokens = [.. Enumerable.Range(0, 2 * 17).Select(i => i % 5)];
        var before = adapted.ComputeLoss(tokens, 2, 16);
        for (var step = 0; step < 150; step++)
        {
            adapted.ComputeGradient(tokens, 2, 16);
            for (var i = 0; i < adapted.ParameterCount; i++) adapted.Weights[i] -= 0.02f * adapted.Gradients[i];
        }

        Assert.True(adapted.ComputeLoss(tokens, 2, 16) < 0.6 * before, $"{before} became {adapted.ComputeLoss(tokens, 2, 16)}");
    }

    [Fact]
    public void A_damaged_adapter_configuration_is_read_or_refused_with_a_code() =>
        Corruption.Of(Encoding.UTF8.GetBytes(AdapterConfig.ToJson(new LoraOptions { Targets = ["q_proj"] }, ModelFamily.Llama, "base"))).Sample(bytes =>
        {
            try
            {
                AdapterConfig.Parse(bytes);
            }
            catch (AisleException fault)
            {
                Assert.Equal("AISLE-5016", fault.Code);
            }
        }, iter: 10_000);

    /// <summary>Of three steps of learning over frozen bfloat16 weights, recomputing: everything that is new to the arithmetic.</summary>
    internal static string Digest()
    {
        using var folder = new TemporaryFolder();
        using (var frozen = Small.Model(6, Small.Config with { Width = 40, FeedForward = 50 }, ArithmeticChoice.Exact)) frozen.Save(folder.Path);
        using var model = AdaptedLanguageModel.Load(folder.Path, new LoraOptions { Rank = 3, Targets = ["q_proj", "v_proj", "down_proj"] },
            new LanguageModelOptions { Precision = WeightPrecision.BFloat16, Recompute = true });
        Fill(model);
        for (var step = 0; step < 3; step++)
        {
            model.ComputeGradient(Small.Tokens(2 * 21, seed: step), 2, 20);
            for (var i = 0; i < model.ParameterCount; i++) model.Weights[i] -= 0.01f * model.Gradients[i];
        }

        return Artifacts.Digest.Of(MemoryMarshal.AsBytes(model.Weights)).Short;
    }

    [Fact]
    public void The_bits_are_those_of_every_machine_so_far() => Assert.Equal("fef54aedc383", Digest());

    private LanguageModel Base(ModelFamily family)
    {
        var model = Small.Model(4, Small.Config with { Family = family }, ArithmeticChoice.Exact);
        foreach (ref var weight in model.Weights) weight *= 2;
        Small.FillBiases(model);
        model.Save(_folder.Path);
        return model;
    }

    private static LanguageModel Merged(string folder)
    {
        using var read = LanguageModel.Load(folder);
        var torch = new LanguageModel(read.Config, ArithmeticChoice.LibTorch);
        read.Weights.CopyTo(torch.Weights);
        return torch;
    }

    private static void Fill(AdaptedLanguageModel model)
    {
        var random = new Random(9);
        foreach (ref var weight in model.Weights) weight = (random.NextSingle() - 0.5f) * 0.5f;
    }

    private static void AssertClose(double[] expected, ReadOnlySpan<float> actual, string name)
    {
        double error = 0, size = 0;
        for (var i = 0; i < expected.Length; i++)
        {
            error += Math.Pow(expected[i] - actual[i], 2);
            size += Math.Pow(expected[i], 2);
        }

        Assert.True(size > 1e-6 && Math.Sqrt(error) <= 1e-4 * Math.Sqrt(size), $"{name}: off by {Math.Sqrt(error)} of {Math.Sqrt(size)}");
    }
}
