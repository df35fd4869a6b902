using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace Aisle.Tensors.Tests;

/// <summary>
/// The three families by libtorch's own modules, over tensors named as in files: an independent reading of their papers, sharing no code with what is tested.
/// Written after Hugging Face transformers' modeling_llama, modeling_qwen2 and modeling_gpt2 as documented.
/// </summary>
internal sealed class ReferenceModel
{
    private readonly IReadOnlyDictionary<string, HuggingFaceFolder.Tensor> _tensors;

    public ReferenceModel(IReadOnlyDictionary<string, HuggingFaceFolder.Tensor> tensors)
    {
        NativeTorch.Load(_ => { });
        _tensors = tensors;
    }

    /// <summary>[tokens, vocabulary].</summary>
    public float[] Llama(int[] tokens, int layers, int heads, int sharedHeads, double rotaryBase, double epsilon, bool tied)
    {
        using var scope = NewDisposeScope();
        var x = At("model.embed_tokens.weight").index_select(0, tensor(tokens.Select(t => (long)t).ToArray()));
        long width = x.shape[1], wide = width / heads, length = tokens.Length;
        for (var i = 0; i < layers; i++)
        {
            var p = $"model.layers.{i}.";
            var n = Rms(x, At($"{p}input_layernorm.weight"), epsilon);
            var q = Turn(Project(n, $"{p}self_attn.q_proj").view(length, heads, wide).transpose(0, 1), rotaryBase);
            var k = Turn(Project(n, $"{p}self_attn.k_proj").view(length, sharedHeads, wide).transpose(0, 1), rotaryBase);
            var v = Project(n, $"{p}self_attn.v_proj").view(length, sharedHeads, wide).transpose(0, 1);
            // Head h reads keys of head h / (heads / sharedHeads).
            var pick = tensor(Enumerable.Range(0, heads).Select(h => (long)(h / (heads / sharedHeads))).ToArray());
            x = x + Project(Attend(q, k.index_select(0, pick), v.index_select(0, pick)).transpose(0, 1).reshape(length, width), $"{p}self_attn.o_proj");
            n = Rms(x, At($"{p}post_attention_layernorm.weight"), epsilon);
            x = x + Project(silu(Project(n, $"{p}mlp.gate_proj")) * Project(n, $"{p}mlp.up_proj"), $"{p}mlp.down_proj");
        }

        return Floats(Rms(x, At("model.norm.weight"), epsilon).matmul(At(tied ? "model.embed_tokens.weight" : "lm_head.weight").t()));
    }

    public float[] Gpt2(int[] tokens, int layers, int heads, string prefix = "transformer.")
    {
        using var scope = NewDisposeScope();
        long length = tokens.Length;
        var x = At($"{prefix}wte.weight").index_select(0, tensor(tokens.Select(t => (long)t).ToArray())) + At($"{prefix}wpe.weight").narrow(0, 0, length);
        long width = x.shape[1], wide = width / heads;
        for (var i = 0; i < layers; i++)
        {
            var p = $"{prefix}h.{i}.";
            var all = Conv(Norm(x, $"{p}ln_1"), $"{p}attn.c_attn").view(length, 3, heads, wide).permute(1, 2, 0, 3);
            x = x + Conv(Attend(all[0], all[1], all[2]).transpose(0, 1).reshape(length, width), $"{p}attn.c_proj");
            var up = Conv(Norm(x, $"{p}ln_2"), $"{p}mlp.c_fc");
            var gelu = 0.5 * up * (1 + (Math.Sqrt(2 / Math.PI) * (up + 0.044715 * up.pow(3))).tanh());
            x = x + Conv(gelu, $"{p}mlp.c_proj");
        }

        return Floats(Norm(x, $"{prefix}ln_f").matmul(At($"{prefix}wte.weight").t()));
    }

    private static Tensor Rms(Tensor x, Tensor weight, double epsilon) => x / (x.pow(2).mean([-1L], keepdim: true) + epsilon).sqrt() * weight;

    private Tensor Norm(Tensor x, string name) => layer_norm(x, [x.shape[1]], At($"{name}.weight"), At($"{name}.bias"), 1e-5);

    private Tensor Project(Tensor x, string name) => x.matmul(At($"{name}.weight").t()) + (_tensors.ContainsKey($"{name}.bias") ? At($"{name}.bias") : zeros(1));

    private Tensor Conv(Tensor x, string name) => x.matmul(At($"{name}.weight")) + At($"{name}.bias");

    private static Tensor Turn(Tensor heads, double rotaryBase)
    {
        long length = heads.shape[1], pairs = heads.shape[2] / 2;
        var frequencies = tensor(Enumerable.Range(0, (int)pairs).Select(i => Math.Pow(rotaryBase, -(double)i / pairs)).ToArray());
        var angles = arange(length, dtype: float64).unsqueeze(1) * frequencies.unsqueeze(0);
        var (cosines, sines) = (cat([angles, angles], 1).cos().to(float32), cat([angles, angles], 1).sin().to(float32));
        var half = cat([-heads.narrow(2, pairs, pairs), heads.narrow(2, 0, pairs)], 2);
        return heads * cosines + half * sines;
    }

    private static Tensor Attend(Tensor q, Tensor k, Tensor v)
    {
        var scores = q.matmul(k.transpose(1, 2)) / Math.Sqrt(q.shape[2]);
        var hidden = ones(q.shape[1], q.shape[1], dtype: @bool).triu(1);
        return softmax(scores.masked_fill(hidden, double.NegativeInfinity), -1).matmul(v);
    }

    private Tensor At(string name) => tensor(_tensors[name].Values, _tensors[name].Shape);

    private static float[] Floats(Tensor x) => x.contiguous().data<float>().ToArray();
}
