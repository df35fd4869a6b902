using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Aisle.Artifacts;

namespace Aisle.Tensors.Tests;

public sealed class ExactArithmeticTests
{
    public static TheoryData<LanguageModelConfig, int, int> Shapes => new()
    {
        { Small.Config, 3, 16 },
        { Small.Config with { KeyValueHeads = 2, TiedEmbeddings = false }, 2, 24 },
        { Small.Config with { KeyValueHeads = 1, Width = 36, Heads = 2, FeedForward = 50, VocabularySize = 51 }, 1, 1 },   // nothing a multiple of the lanes
        { Small.Config with { Width = 36, Heads = 2, FeedForward = 50, VocabularySize = 51 }, 5, 23 },
        { Small.Config with { Width = 64, Heads = 2, ContextTokens = 300 }, 1, 300 },
        { Small.Config with { Family = ModelFamily.Qwen2, KeyValueHeads = 2, TiedEmbeddings = false }, 2, 24 },
        { Small.Config with { Family = ModelFamily.Qwen2, KeyValueHeads = 1, Width = 36, Heads = 2, FeedForward = 50, VocabularySize = 51 }, 3, 7 },
        { Small.Config with { Family = ModelFamily.Gpt2 }, 3, 16 },
        { Small.Config with { Family = ModelFamily.Gpt2, Width = 35, Heads = 5, FeedForward = 51, VocabularySize = 51, TiedEmbeddings = false }, 2, 23 },
    };

    [Theory, MemberData(nameof(Shapes))]
    public void Loss_logits_and_gradient_are_libtorchs_to_float32(LanguageModelConfig config, int sequences, int length)
    {
        using var torch = Small.Model(2, config, ArithmeticChoice.LibTorch);
        using var exact = Small.Model(2, config, ArithmeticChoice.Exact);
        for (var i = 0; i < torch.ParameterCount; i++) torch.Weights[i] *= 2;
        Small.FillBiases(torch);
        torch.Weights.CopyTo(exact.Weights);
        var tokens = Small.Tokens(sequences * (length + 1));
        Assert.Equal(torch.ComputeGradient(tokens, sequences, length) / (sequences * length), exact.ComputeGradient(tokens, sequences, length) / (sequences * length), 1e-6);
        Assert.Equal(torch.ComputeLoss(tokens, sequences, length) / (sequences * length), exact.ComputeLoss(tokens, sequences, length) / (sequences * length), 1e-6);
        foreach (var slot in torch.Slots)
        {
            Span<float> expected = torch.Gradients.Slice(slot.Offset, slot.Length), actual = exact.Gradients.Slice(slot.Offset, slot.Length);
            double error = 0, size = 0;
            for (var i = 0; i < slot.Length; i++)
            {
                error += Math.Pow((double)expected[i] - actual[i], 2);
                size += Math.Pow(expected[i], 2);
            }

            Assert.True(Math.Sqrt(error) <= 1.5e-5 * Math.Sqrt(size) + 2e-6, $"{slot.Name}: off by {Math.Sqrt(error)} of {Math.Sqrt(size)}");
        }

        var (one, other) = (torch.ComputeLogits(tokens.AsSpan(0, length)), exact.ComputeLogits(tokens.AsSpan(0, length)));
        for (var i = 0; i < one.Length; i++) Assert.Equal(one[i], other[i], 2e-5f);
    }

    [Theory]
    [InlineData("DOTNET_EnableAVX512", "0")]           // a machine with AVX2
    [InlineData("DOTNET_EnableAVX512F", "0")]
    [InlineData("DOTNET_EnableAVX2", "0")]             // no fused multiply-add in hardware
    [InlineData("DOTNET_EnableHWIntrinsic", "0")]      // no vectors at all
    public void The_bits_are_the_same_with_other_instructions(string variable, string value)
    {
        using var process = ChildProcess.Start("exact", (variable, value));
        var output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        Assert.Equal([Digest(), Digest(ModelFamily.Qwen2), Digest(ModelFamily.Gpt2), AdaptedLanguageModelTests.Digest()], output.Split(' ')[..4]);
        if (variable == "DOTNET_EnableHWIntrinsic") Assert.EndsWith("128", output);   // the switch did take effect
    }

    [Fact]
    public void The_bits_are_those_of_every_machine_so_far() => Assert.Equal("771b415f6d77", Digest());

    [Theory]
    [InlineData(ModelFamily.Qwen2, "47831a2ad1c9")]
    [InlineData(ModelFamily.Gpt2, "825a1e4fc536")]
    public void The_bits_of_the_other_families_are_those_of_every_machine_so_far(ModelFamily family, string digest) => Assert.Equal(digest, Digest(family));

    /// <summary>Of three steps of training, so that a wrong bit grows.</summary>
    internal static string Digest(ModelFamily family = ModelFamily.Llama)
    {
        var config = Small.Config with { Family = family, KeyValueHeads = family == ModelFamily.Gpt2 ? 4 : 2, Width = 40, FeedForward = 50 };
        using var model = Small.Model(5, config, ArithmeticChoice.Exact);
        for (var step = 0; step < 3; step++)
        {
            model.ComputeGradient(Small.Tokens(2 * 21, seed: step), 2, 20);
            for (var i = 0; i < model.ParameterCount; i++) model.Weights[i] -= 0.01f * model.Gradients[i];
        }

        return Artifacts.Digest.Of(MemoryMarshal.AsBytes(model.Weights)).Short;
    }

    [Fact]
    public void The_same_slice_gives_the_same_bits_each_time()
    {
        using var model = Small.Model(choice: ArithmeticChoice.Exact);
        var tokens = Small.Tokens(3 * 17);
        var loss = model.ComputeGradient(tokens, 3, 16);
        var gradient = model.Gradients.ToArray();
        model.ComputeGradient(Small.Tokens(2 * 9, seed: 2), 2, 8);
        Assert.Equal(loss, model.ComputeLoss(tokens, 3, 16));
        Assert.Equal(loss, model.ComputeGradient(tokens, 3, 16));
        Assert.True(model.Gradients.SequenceEqual(gradient));
    }

    [Theory]
    [InlineData(ModelFamily.Llama, true)]
    [InlineData(ModelFamily.Llama, false)]
    [InlineData(ModelFamily.Qwen2, true)]
    [InlineData(ModelFamily.Gpt2, true)]
    [InlineData(ModelFamily.Gpt2, false)]
    public void Every_gradient_is_announced_once_and_is_final_then(ModelFamily family, bool tied)
    {
        using var model = Small.Model(config: Small.Config with { Family = family, TiedEmbeddings = tied }, choice: ArithmeticChoice.Exact);
        model.Gradients.Fill(float.NaN);
        var announced = new float[model.ParameterCount];
        var times = new int[model.ParameterCount];
        model.ComputeGradient(Small.Tokens(3 * 17), 3, 16, (offset, length) =>
        {
            model.Gradients.Slice(offset, length).CopyTo(announced.AsSpan(offset));
            foreach (ref var count in times.AsSpan(offset, length)) count++;
        });
        Assert.All(times, count => Assert.Equal(1, count));
        Assert.True(model.Gradients.SequenceEqual(announced));
    }

    [Fact]
    public void The_exponential_is_right_to_float32_and_the_logarithm_to_double()
    {
        for (var x = -87f; x <= 88; x += 0.0371f)
        {
            var y = ExactKernels.Exp(Vector512.Create(x))[3];
            Assert.Equal(1, y / Math.Exp(x), 2e-7);
        }

        for (var x = 1e-3; x < 1e9; x *= 1.0371) Assert.Equal(Math.Log(x), ExactKernels.Log(x), 1e-15 * Math.Max(1, Math.Abs(Math.Log(x))) * 4);
    }

    [Fact]
    public void Memory_stays_flat_over_hundreds_of_gradients()
    {
        using var model = Small.Model(choice: ArithmeticChoice.Exact);
        var tokens = Small.Tokens(4 * 25);
        for (var i = 0; i < 20; i++) model.ComputeGradient(tokens, 4, 24);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 300; i++) model.ComputeGradient(tokens, 4, 24);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1024);
    }

    [Fact]
    public void Every_machine_has_the_same_numeric_class()
    {
        using var process = ChildProcess.Start("fingerprint", (ArithmeticChoices.Variable, "exact"));
        Assert.Equal("cpu-exact-1t-766315abd147", process.StandardOutput.ReadToEnd().Trim());
        process.WaitForExit();
    }
}
