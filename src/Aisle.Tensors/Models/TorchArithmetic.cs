using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace Aisle.Tensors;

// Shapes in this file: B sequences, T tokens, D width, N query heads, K key and value heads, H channels per head, F feed-forward channels, V vocabulary.
/// <summary>A language model's mathematics by libtorch and its automatic differentiation. One thread; not thread-safe.</summary>
internal sealed unsafe class TorchArithmetic : ILanguageModelArithmetic
{
    private readonly LanguageModelConfig _config;
    private readonly Arena _weights, _gradients;
    private readonly List<Tensor> _owned = [];
    private readonly Dictionary<int, (Tensor Cosines, Tensor Sines)> _rotary = [];
    private RotaryTable? _rotaryTable;
    private Block[] _blocks = [];
    private Tensor _embedding = null!;
    private Tensor _norm = null!;
    private Tensor _head = null!;
    private Scalar _epsilon = null!;

    private sealed record Block(Tensor InputNorm, Tensor QueryKeyValue, Tensor Output, Tensor FeedForwardNorm, Tensor GateUp, Tensor Down);

    public TorchArithmetic(LanguageModelConfig config, IReadOnlyList<TensorSlot> slots, Arena weights, Arena gradients)
    {
        NativeTorch.Load();
        (_config, _weights, _gradients) = (config, weights, gradients);
        BuildTensors(slots);
    }

    // Automatic differentiation adds to what is there, and says of nothing when it is final.
    public double Gradient(ReadOnlySpan<int> tokens, int sequences, int length, GradientReady? ready)
    {
        _gradients.GetSpan().Clear();
        using var scope = NewDisposeScope();
        using var losses = Losses(tokens, sequences, length);
        using var sum = losses.sum();
        sum.backward();
        return Sum(losses);
    }

    public double Loss(ReadOnlySpan<int> tokens, int sequences, int length)
    {
        using var scope = NewDisposeScope();
        using var still = no_grad();
        return Sum(Losses(tokens, sequences, length));
    }

    public float[] Logits(ReadOnlySpan<int> tokens)
    {
        using var scope = NewDisposeScope();
        using var still = no_grad();
        return View(Logits(Ids(tokens, 1, tokens.Length, tokens.Length), 1, tokens.Length)).ToArray();
    }

    private Tensor Losses(ReadOnlySpan<int> tokens, int sequences, int length)
    {
        var logits = Logits(Ids(tokens, sequences, length + 1, length), sequences, length);
        return cross_entropy(logits, Ids(tokens[1..], sequences, length + 1, length), reduction: nn.Reduction.None);
    }

    // [B·T, V]
    private Tensor Logits(Tensor ids, int sequences, int length)
    {
        var rotary = Rotary(length);
        var hidden = _embedding.index_select(0, ids);   // [B·T, D] throughout
        foreach (var block in _blocks)
        {
            hidden = hidden + Attend(block, Normalise(hidden, block.InputNorm), rotary, sequences, length);
            hidden = hidden + FeedForward(block, Normalise(hidden, block.FeedForwardNorm));
        }

        return linear(Normalise(hidden, _norm), _head);
    }

    private Tensor Normalise(Tensor hidden, Tensor weight) =>
        hidden * (hidden * hidden).mean([-1], keepdim: true).add(_epsilon).rsqrt() * weight;

    private Tensor Attend(Block block, Tensor input, (Tensor Cosines, Tensor Sines) rotary, int sequences, int length)
    {
        int heads = _config.Heads, shared = _config.KeyValueHeads, pairs = _config.HeadWidth / 2;
        var all = linear(input, block.QueryKeyValue).view(sequences, length, heads + 2 * shared, _config.HeadWidth);
        var turning = all.narrow(2, 0, heads + shared);
        Tensor first = turning.narrow(3, 0, pairs), second = turning.narrow(3, pairs, pairs);
        var turned = cat([first * rotary.Cosines - second * rotary.Sines, second * rotary.Cosines + first * rotary.Sines], -1);

        var queries = turned.narrow(2, 0, heads).transpose(1, 2);   // [B, N, T, H]
        var keys = turned.narrow(2, heads, shared).transpose(1, 2);
        var values = all.narrow(2, heads + shared, shared).transpose(1, 2);
        if (shared != heads)
        {
            keys = keys.repeat_interleave(heads / shared, 1);
            values = values.repeat_interleave(heads / shared, 1);
        }

        var mixed = scaled_dot_product_attention(queries, keys, values, is_casual: true);
        return linear(mixed.transpose(1, 2).reshape(sequences * length, _config.Width), block.Output);
    }

    private Tensor FeedForward(Block block, Tensor input)
    {
        var both = linear(input, block.GateUp);
        return linear(silu(both.narrow(1, 0, _config.FeedForward)) * both.narrow(1, _config.FeedForward, _config.FeedForward), block.Down);
    }

    private static Tensor Ids(ReadOnlySpan<int> tokens, int rows, int stride, int length)
    {
        var ids = new long[rows * length];
        for (var row = 0; row < rows; row++)
        {
            for (var i = 0; i < length; i++) ids[row * length + i] = tokens[row * stride + i];
        }

        return tensor(ids);
    }

    private static double Sum(Tensor losses)
    {
        var sum = 0.0;
        foreach (var loss in View(losses)) sum += loss;
        return sum;
    }

    private static Span<float> View(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);

    private (Tensor Cosines, Tensor Sines) Rotary(int length)
    {
        if (_rotary.TryGetValue(length, out var known)) return known;
        var table = _rotaryTable ??= new RotaryTable(_config.ContextTokens, _config.HeadWidth / 2, _config.RotaryBase);
        long[] shape = [length, 1, table.Pairs];
        var made = (Keep(tensor(table.Cosines.AsSpan(0, length * table.Pairs).ToArray(), shape)), Keep(tensor(table.Sines.AsSpan(0, length * table.Pairs).ToArray(), shape)));
        return _rotary[length] = made;
    }

    private void BuildTensors(IReadOnlyList<TensorSlot> slots)
    {
        _epsilon = _config.NormEpsilon;
        var bySlot = slots.ToDictionary(slot => slot.Name);
        _embedding = Leaf("model.embed_tokens.weight");
        _blocks =
        [
            .. Enumerable.Range(0, _config.Layers).Select(i => $"model.layers.{i}.").Select(layer => new Block(
                Leaf($"{layer}input_layernorm.weight"),
                Leaf($"{layer}self_attn.q_proj.weight", $"{layer}self_attn.k_proj.weight", $"{layer}self_attn.v_proj.weight"),
                Leaf($"{layer}self_attn.o_proj.weight"),
                Leaf($"{layer}post_attention_layernorm.weight"),
                Leaf($"{layer}mlp.gate_proj.weight", $"{layer}mlp.up_proj.weight"),
                Leaf($"{layer}mlp.down_proj.weight"))),
        ];
        _norm = Leaf("model.norm.weight");
        _head = _config.TiedEmbeddings ? _embedding : Leaf("lm_head.weight");

        // A view on both arenas over one slot, or over several that follow one another; backward adds to the gradient arena in place.
        Tensor Leaf(params ReadOnlySpan<string> names)
        {
            var first = bySlot[names[0]];
            long rows = 0;
            foreach (var name in names) rows += bySlot[name].Shape[0];
            long[] shape = first.Shape.Length == 1 ? [rows] : [rows, first.Shape[1]];
            var weight = Keep(NativeTensor.Over(_weights.At(first.Offset), shape)).requires_grad_();
            weight.grad = Keep(NativeTensor.Over(_gradients.At(first.Offset), shape));
            return weight;
        }
    }

    private Tensor Keep(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    public void Dispose()
    {
        foreach (var tensor in _owned) tensor.Dispose();
        _owned.Clear();
        _rotary.Clear();
        _epsilon.Dispose();
    }
}
