using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Aisle.Artifacts;

namespace Aisle.Tensors.Tests;

public sealed unsafe class LanguageModelTests
{
    [Fact]
    public void Slots_fill_the_arena_without_gaps_and_it_lies_at_a_64_byte_boundary()
    {
        using var model = Small.Model();
        var end = 0;
        foreach (var slot in model.Slots)
        {
            Assert.Equal(end, slot.Offset);
            end += slot.Length;
        }

        Assert.Equal(model.ParameterCount, end);
        Assert.Equal(model.Config.ParameterCount, end);
        Assert.Equal(0, (nint)Unsafe.AsPointer(ref model.Weights[0]) % 64);
        Assert.Equal(0, (nint)Unsafe.AsPointer(ref model.Gradients[0]) % 64);
    }

    [Fact]
    public void Starting_weights_are_the_same_bits_everywhere()
    {
        using var model = Small.Model(seed: 7);
        // The digest was taken once; integer arithmetic and one multiplication must give it on every machine.
        Assert.Equal("ff20c26375c8", Digest.Of(MemoryMarshal.AsBytes(model.Weights)).Short);
        using var other = Small.Model(seed: 8);
        Assert.False(model.Weights.SequenceEqual(other.Weights));
    }

    [Fact]
    public void Starting_weights_have_the_deviation_they_promise()
    {
        using var model = Small.Model(config: Small.Config with { Width = 128, FeedForward = 256 });
        foreach (var slot in model.Slots.Where(slot => slot.Name.EndsWith("gate_proj.weight", StringComparison.Ordinal)))
        {
            var weights = model.Weights.Slice(slot.Offset, slot.Length).ToArray();
            Assert.Equal(0, weights.Average(w => (double)w), 1e-3);
            Assert.Equal(1 / Math.Sqrt(3 * 128), Math.Sqrt(weights.Average(w => (double)w * w)), 1e-3);
        }
    }

    [Fact]
    public void A_new_model_predicts_nothing_in_particular()
    {
        using var model = Small.Model();
        var loss = model.ComputeLoss(Small.Tokens(4 * 17), 4, 16) / (4 * 16);
        Assert.Equal(Math.Log(50), loss, 0.1);
    }

    [Theory]
    [InlineData(4, true)]
    [InlineData(2, true)]
    [InlineData(1, false)]
    public void The_gradient_is_the_slope_of_the_loss(int keyValueHeads, bool tied)
    {
        using var model = Small.Model(config: Small.Config with { KeyValueHeads = keyValueHeads, TiedEmbeddings = tied });
        Scale(model.Weights, 3);   // away from the flat start, so that slopes stand out of float32's rounding
        var tokens = Small.Tokens(2 * 13);
        model.ComputeGradient(tokens, 2, 12);
        var gradients = model.Gradients.ToArray();
        foreach (var slot in model.Slots)
        {
            // Along the gradient of one tensor the slope is its length.
            var part = gradients.AsSpan(slot.Offset, slot.Length).ToArray();
            var length = Math.Sqrt(part.Sum(g => (double)g * g));
            Assert.True(length > 1e-4, slot.Name);
            var step = 2e-2 / length;
            var before = model.Weights.Slice(slot.Offset, slot.Length).ToArray();
            double LossAt(double factor)
            {
                for (var i = 0; i < part.Length; i++) model.Weights[slot.Offset + i] = (float)(before[i] + factor * part[i] / length);
                return model.ComputeLoss(tokens, 2, 12);
            }

            var h = Math.Min(1e-2, step);
            var slope = (LossAt(h) - LossAt(-h)) / (2 * h);
            before.CopyTo(model.Weights[slot.Offset..]);
            Assert.True(Math.Abs(slope - length) < 0.02 * length + 1e-2, $"{slot.Name}: slope {slope}, gradient {length}");
        }
    }

    [Fact]
    public void The_same_slice_gives_the_same_bits_each_time_and_in_another_model_object()
    {
        using var model = Small.Model();
        using var other = Small.Model();
        var tokens = Small.Tokens(3 * 17);
        var first = model.ComputeGradient(tokens, 3, 16);
        var digest = GradientDigest(model);
        model.ComputeGradient(Small.Tokens(3 * 17, seed: 2), 3, 16);
        Assert.NotEqual(digest, GradientDigest(model));
        Assert.Equal(first, model.ComputeGradient(tokens, 3, 16));
        Assert.Equal(digest, GradientDigest(model));
        Assert.Equal(first, other.ComputeGradient(tokens, 3, 16));
        Assert.Equal(digest, GradientDigest(other));
        Assert.Equal(first, model.ComputeLoss(tokens, 3, 16));
        Assert.Equal(digest, GradientDigest(model));
    }

    [Fact]
    public void A_token_sees_only_what_came_before_it()
    {
        using var model = Small.Model();
        var tokens = Small.Tokens(20);
        var full = model.ComputeLogits(tokens);
        tokens[15] = (tokens[15] + 1) % 50;
        var changed = model.ComputeLogits(tokens);
        Assert.Equal(full[..(15 * 50)], changed[..(15 * 50)]);
        Assert.NotEqual(full[(15 * 50)..], changed[(15 * 50)..]);
    }

    [Fact]
    public void Plain_gradient_descent_learns_a_repeating_text()
    {
        using var model = Small.Model();
        int[] tokens = [.. Enumerable.Range(0, 2 * 17).Select(i => i % 5)];
        var before = model.ComputeLoss(tokens, 2, 16);
        for (var step = 0; step < 60; step++)
        {
            model.ComputeGradient(tokens, 2, 16);
            for (var i = 0; i < model.ParameterCount; i++) model.Weights[i] -= 0.01f * model.Gradients[i];
        }

        Assert.True(model.ComputeLoss(tokens, 2, 16) < before / 4);
    }

    [Fact]
    public void A_saved_model_loads_with_the_same_bits_and_saves_to_the_same_files()
    {
        using var folder = new TemporaryFolder();
        using var again = new TemporaryFolder();
        using var model = Small.Model(config: Small.Config with { TiedEmbeddings = false, KeyValueHeads = 2 });
        model.Save(folder.Path);
        using var loaded = LanguageModel.Load(folder.Path);
        Assert.Equal(model.Config, loaded.Config);
        Assert.True(model.Weights.SequenceEqual(loaded.Weights));
        loaded.Save(again.Path);
        foreach (var name in (string[])["config.json", "model.safetensors"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(folder.Path, name)), File.ReadAllBytes(Path.Combine(again.Path, name)));
    }

    [Fact]
    public void Weights_of_another_shape_are_refused()
    {
        using var folder = new TemporaryFolder();
        using (var model = Small.Model()) model.Save(folder.Path);
        File.WriteAllText(Path.Combine(folder.Path, "config.json"), (Small.Config with { FeedForward = 40 }).ToJson());
        Assert.Equal("AISLE-5021", Assert.Throws<AisleException>(() => LanguageModel.Load(folder.Path)).Code);
        File.WriteAllText(Path.Combine(folder.Path, "config.json"), (Small.Config with { Layers = 3 }).ToJson());
        Assert.Contains("model.layers.2.", Assert.Throws<AisleException>(() => LanguageModel.Load(folder.Path)).What);
        Assert.Equal("AISLE-5022", Assert.Throws<AisleException>(() => LanguageModel.Load(Path.Combine(folder.Path, "none"))).Code);
    }

    [Fact]
    public void A_token_outside_the_vocabulary_is_refused()
    {
        using var model = Small.Model();
        var fault = Assert.Throws<AisleException>(() => model.ComputeGradient([1, 2, 50, 3, 4], 1, 4));
        Assert.Equal("AISLE-5012", fault.Code);
        Assert.Contains("position 2", fault.What);
    }

    [Fact]
    public void Memory_stays_flat_over_hundreds_of_gradients()
    {
        using var model = Small.Model(config: Small.Config with { Width = 64, FeedForward = 128, ContextTokens = 64 });
        var tokens = Small.Tokens(4 * 65);
        for (var i = 0; i < 50; i++) model.ComputeGradient(tokens, 4, 64);
        var (tensors, bytes) = (TorchSharp.torch.Tensor.TotalCount, ResidentBytes());
        for (var i = 0; i < 300; i++) model.ComputeGradient(tokens, 4, 64);
        Assert.True(ResidentBytes() - bytes < 16 << 20, $"grew by {(ResidentBytes() - bytes) >> 20} MiB");
        Assert.InRange(TorchSharp.torch.Tensor.TotalCount, 0, tensors + 8);
    }

    private static string GradientDigest(LanguageModel model) => Digest.Of(MemoryMarshal.AsBytes(model.Gradients)).Hex;

    private static void Scale(Span<float> weights, float factor)
    {
        for (var i = 0; i < weights.Length; i++) weights[i] *= factor;
    }

    private static long ResidentBytes()
    {
        var pages = File.ReadAllText("/proc/self/statm").Split(' ')[1];
        return long.Parse(pages) * Environment.SystemPageSize;
    }
}
