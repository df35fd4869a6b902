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
    private Tensor? _positions;
    private Norm _norm = null!;
    private Tensor _head = null!;
    private Scalar _epsilon = null!;

    private sealed record Norm(Tensor Weight, Tensor? Bias);

    private sealed record Matrix(Tensor Weight, Tensor? Bias);

    private sealed record Block(Norm InputNorm, Matrix QueryKeyValue, Matrix Output, Norm FeedForwardNorm, Matrix Up, Matrix Down);

    public TorchArithmetic(LanguageModelConfig config, ModelLayout layout, Arena weights, Arena gradients)
    {
        NativeTorch.Load();
        (_config, _weights, _gradients) = (config, weights, gradients);
        BuildTensors(layout);
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
        var hidden = _embedding.index_select(0, ids);   // [B·T, D] throughout
        if (_positions is not null) hidden = hidden + _positions.narrow(0, 0, length).repeat(sequences, 1);
        foreach (var block in _blocks)
        {
            hidden = hidden + Attend(block, Normalise(hidden, block.InputNorm), sequences, length);
            hidden = hidden + FeedForward(block, Normalise(hidden, block.FeedForwardNorm));
        }

        return linear(Normalise(hidden, _norm), _head);
    }

    private Tensor Normalise(Tensor hidden, Norm norm) => norm.Bias is null
        ? hidden * (hidden * hidden).mean([-1], keepdim: true).add(_epsilon).rsqrt() * norm.Weight
        : layer_norm(hidden, [_config.Width], norm.Weight, norm.Bias, _config.NormEpsilon);

    private static Tensor Linear(Tensor input, Matrix matrix) => linear(input, matrix.Weight, matrix.Bias);

    private Tensor Attend(Block block, Tensor input, int sequences, int length)
    {
        int heads = _config.Heads, shared = _config.KeyValueHeads;
        var all = Linear(input, block.QueryKeyValue).view(sequences, length, heads + 2 * shared, _config.HeadWidth);
        var turned = Turn(all.narrow(2, 0, heads + shared), length);

        var queries = turned.narrow(2, 0, heads).transpose(1, 2);   // [B, N, T, H]
        var keys = turned.narrow(2, heads, shared).transpose(1, 2);
        var values = all.narrow(2, heads + shared, shared).transpose(1, 2);
        if (shared != heads)
        {
            keys = keys.repeat_interleave(heads / shared, 1);
            values = values.repeat_interleave(heads / shared, 1);
        }

        var mixed = scaled_dot_product_attention(queries, keys, values, is_casual: true);
        return Linear(mixed.transpose(1, 2).reshape(sequences * length, _config.Width), block.Output);
    }

    private Tensor Turn(Tensor heads, int length)
    {
        if (_config.HasLearnedPositions) return heads;
        var (cosines, sines) = Rotary(length);
        var pairs = _config.HeadWidth / 2;
        Tensor first = heads.narrow(3, 0, pairs), second = heads.narrow(3, pairs, pairs);
        return cat([first * cosines - second * sines, second * cosines + first * sines], -1);
    }

    private Tensor FeedForward(Block block, Tensor input)
    {
        var up = Linear(input, block.Up);
        return Linear(_config.IsGated ? silu(up.narrow(1, 0, _config.FeedForward)) * up.narrow(1, _config.FeedForward, _config.FeedForward) : Gelu(up), block.Down);
    }

    private static Tensor Gelu(Tensor x) => 0.5 * x * (1 + (0.7978845608028654 * (x + 0.044715 * x * x * x)).tanh());

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

    private void BuildTensors(ModelLayout layout)
    {
        int width = _config.Width;
        _epsilon = _config.NormEpsilon;
        _embedding = Leaf(layout.Embedding, _config.VocabularySize, width);
        if (layout.Positions >= 0) _positions = Leaf(layout.Positions, _config.ContextTokens, width);
        _blocks =
        [
            .. layout.Layers.Select(layer => new Block(
                NormOf(layer.InputNorm), MatrixOf(layer.QueryKeyValue), MatrixOf(layer.Output), NormOf(layer.FeedForwardNorm), MatrixOf(layer.Up), MatrixOf(layer.Down))),
        ];
        _norm = NormOf(layout.FinalNorm);
        _head = _config.TiedEmbeddings ? _embedding : Leaf(layout.Head.Weight, _config.VocabularySize, width);

        Norm NormOf(NormPart part) => new(Leaf(part.Weight, width), part.Bias < 0 ? null : Leaf(part.Bias, width));
        Matrix MatrixOf(LinearPart part) => new(Leaf(part.Weight, part.Outputs, part.Inputs), part.Bias < 0 ? null : Leaf(part.Bias, part.Outputs));

        // A view on both arenas, over one slot or over several that follow one another; backward adds to the gradient arena in place.
        Tensor Leaf(int offset, params long[] shape)
        {
            var weight = Keep(NativeTensor.Over(_weights.At(offset), shape)).requires_grad_();
            weight.grad = Keep(NativeTensor.Over(_gradients.At(offset), shape));
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
