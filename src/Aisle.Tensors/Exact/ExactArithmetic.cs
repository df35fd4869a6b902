using System.Runtime.InteropServices;

namespace Aisle.Tensors;

// Shapes in this file: R rows (sequences · length), T tokens of a sequence, D width, Q channels of query, key and value heads together, F feed-forward, V vocabulary.
/// <summary>A language model's mathematics in C#, with the same bits on every processor. One thread; not thread-safe.</summary>
/// <remarks>What a step keeps for the way back is about rows · (5·D + Q + 3·F) floats and sequences · heads · T² for each layer.</remarks>
internal sealed unsafe class ExactArithmetic : ILanguageModelArithmetic
{
    private readonly LanguageModelConfig _config;
    private readonly Arena _weights, _gradients;
    private readonly ExactProduct _product = new();
    private readonly Layer[] _layers;
    private readonly TensorSlot[] _added; // tensors whose gradient is gathered bit by bit
    private readonly int _embedding, _norm, _head;
    private readonly Arena _rotary;   // cosines, then sines
    private Workspace? _workspace;

    // Offsets into both arenas.
    private sealed record Layer(int InputNorm, int QueryKeyValue, int Output, int FeedForwardNorm, int GateUp, int Down);

    public ExactArithmetic(LanguageModelConfig config, IReadOnlyList<TensorSlot> slots, Arena weights, Arena gradients)
    {
        (_config, _weights, _gradients) = (config, weights, gradients);
        var offsets = slots.ToDictionary(slot => slot.Name, slot => slot.Offset);
        _embedding = offsets["model.embed_tokens.weight"];
        _norm = offsets["model.norm.weight"];
        _head = config.TiedEmbeddings ? _embedding : offsets["lm_head.weight"];
        _layers =
        [
            .. Enumerable.Range(0, config.Layers).Select(i => $"model.layers.{i}.").Select(layer => new Layer(
                offsets[layer + "input_layernorm.weight"], offsets[layer + "self_attn.q_proj.weight"], offsets[layer + "self_attn.o_proj.weight"],
                offsets[layer + "post_attention_layernorm.weight"], offsets[layer + "mlp.gate_proj.weight"], offsets[layer + "mlp.down_proj.weight"])),
        ];
        _added = [.. slots.Where(slot => slot.Shape.Length == 1 || (slot.Offset == _embedding && !config.TiedEmbeddings))];
        var table = new RotaryTable(config.ContextTokens, config.HeadWidth / 2, config.RotaryBase);
        _rotary = new Arena(2 * table.Cosines.Length);
        table.Cosines.CopyTo(_rotary.GetSpan());
        table.Sines.CopyTo(_rotary.GetSpan()[table.Cosines.Length..]);
    }

    private int Width => _config.Width;

    private int RowChannels => (_config.Heads + 2 * _config.KeyValueHeads) * _config.HeadWidth;

    public double Gradient(ReadOnlySpan<int> tokens, int sequences, int length, GradientReady? ready)
    {
        var space = Forward(tokens, length + 1, sequences, length);
        var loss = CrossEntropies(space, tokens);
        Backward(space, tokens, ready);
        return loss;
    }

    public double Loss(ReadOnlySpan<int> tokens, int sequences, int length) => CrossEntropies(Forward(tokens, length + 1, sequences, length), tokens);

    public float[] Logits(ReadOnlySpan<int> tokens)
    {
        var space = Forward(tokens, tokens.Length, 1, tokens.Length);
        return new ReadOnlySpan<float>(space.Logits, space.Rows * _config.VocabularySize).ToArray();
    }

    private Workspace Forward(ReadOnlySpan<int> tokens, int stride, int sequences, int length)
    {
        var space = Reserve(sequences, length);
        int rows = space.Rows, channels = _config.FeedForward;
        for (var row = 0; row < rows; row++)
        {
            var token = tokens[row / length * stride + row % length];
            Buffer.MemoryCopy(Weight(_embedding + token * Width), space.Layers[0].Input + (long)row * Width, Width * 4L, Width * 4L);
        }

        for (var i = 0; i < _layers.Length; i++)
        {
            var layer = _layers[i];
            var kept = space.Layers[i];
            var output = i + 1 < _layers.Length ? space.Layers[i + 1].Input : space.Output;
            ExactKernels.Normalise(kept.Input, Weight(layer.InputNorm), (float)_config.NormEpsilon, rows, Width, kept.Normed, kept.Scales);
            Linear(kept.Normed, rows, Width, Weight(layer.QueryKeyValue), RowChannels, kept.QueryKeyValue);
            Rotate(kept.QueryKeyValue, rows, length, back: false);
            Attend(space, kept);
            // The sum begins at the residual stream.
            Buffer.MemoryCopy(kept.Input, kept.Middle, rows * Width * 4L, rows * Width * 4L);
            Linear(kept.Attended, rows, Width, Weight(layer.Output), Width, kept.Middle, add: true);

            ExactKernels.Normalise(kept.Middle, Weight(layer.FeedForwardNorm), (float)_config.NormEpsilon, rows, Width, kept.MiddleNormed, kept.MiddleScales);
            Linear(kept.MiddleNormed, rows, Width, Weight(layer.GateUp), 2 * channels, kept.GateUp);
            ExactKernels.Gate(kept.GateUp, rows, channels, kept.Gated);
            Buffer.MemoryCopy(kept.Middle, output, rows * Width * 4L, rows * Width * 4L);
            Linear(kept.Gated, rows, channels, Weight(layer.Down), Width, output, add: true);
        }

        ExactKernels.Normalise(space.Output, Weight(_norm), (float)_config.NormEpsilon, rows, Width, space.OutputNormed, space.OutputScales);
        Linear(space.OutputNormed, rows, Width, Weight(_head), _config.VocabularySize, space.Logits);
        return space;
    }

    // The logits become what flows back to them.
    private double CrossEntropies(Workspace space, ReadOnlySpan<int> tokens)
    {
        double sum = 0;
        for (var row = 0; row < space.Rows; row++)
        {
            var target = tokens[row / space.Length * (space.Length + 1) + row % space.Length + 1];
            sum += ExactKernels.CrossEntropy(space.Logits + (long)row * _config.VocabularySize, _config.VocabularySize, target);
        }

        return sum;
    }

    // Matrices are written, not added to: each is done in one place, and a clear pass over all of them would go to memory and back. The rest is small.
    private void Backward(Workspace space, ReadOnlySpan<int> tokens, GradientReady? ready)
    {
        foreach (var slot in _added) new Span<float>(Gradient(slot.Offset), slot.Length).Clear();
        int rows = space.Rows, channels = _config.FeedForward;
        float* dStream = space.DStream, dNormed = space.DNormed;
        LinearBack(space.Logits, rows, _config.VocabularySize, space.OutputNormed, Width, _head, dNormed);
        new Span<float>(dStream, rows * Width).Clear();
        ExactKernels.NormaliseBack(dNormed, space.Output, Weight(_norm), space.OutputScales, rows, Width, dStream, Gradient(_norm));
        ready?.Invoke(_norm, Width);
        if (_head != _embedding) ready?.Invoke(_head, _config.VocabularySize * Width);
        for (var i = _layers.Length - 1; i >= 0; i--)
        {
            var layer = _layers[i];
            var kept = space.Layers[i];
            LinearBack(dStream, rows, Width, kept.Gated, channels, layer.Down, space.DGated);
            ExactKernels.GateBack(kept.GateUp, space.DGated, rows, channels, space.DGateUp);
            ready?.Invoke(layer.Down, Width * channels);
            LinearBack(space.DGateUp, rows, 2 * channels, kept.MiddleNormed, Width, layer.GateUp, dNormed);
            ready?.Invoke(layer.GateUp, 2 * channels * Width);
            ExactKernels.NormaliseBack(dNormed, kept.Middle, Weight(layer.FeedForwardNorm), kept.MiddleScales, rows, Width, dStream, Gradient(layer.FeedForwardNorm));
            ready?.Invoke(layer.FeedForwardNorm, Width);

            LinearBack(dStream, rows, Width, kept.Attended, Width, layer.Output, space.DAttended);
            ready?.Invoke(layer.Output, Width * Width);
            AttendBack(space, kept);
            Rotate(space.DQueryKeyValue, rows, space.Length, back: true);
            LinearBack(space.DQueryKeyValue, rows, RowChannels, kept.Normed, Width, layer.QueryKeyValue, dNormed);
            ready?.Invoke(layer.QueryKeyValue, RowChannels * Width);
            ExactKernels.NormaliseBack(dNormed, kept.Input, Weight(layer.InputNorm), kept.Scales, rows, Width, dStream, Gradient(layer.InputNorm));
            ready?.Invoke(layer.InputNorm, Width);
        }

        // After the head's part where the two are one table; in the order of the tokens.
        for (var row = 0; row < rows; row++)
            ExactKernels.Add(dStream + (long)row * Width, Width, Gradient(_embedding + tokens[row / space.Length * (space.Length + 1) + row % space.Length] * Width));
        ready?.Invoke(_embedding, _config.VocabularySize * Width);
    }

    // y [R, outputs] (+)= x [R, inputs] · weightᵀ
    private void Linear(float* x, int rows, int inputs, float* weight, int outputs, float* y, bool add = false) =>
        _product.Multiply(rows, outputs, inputs, new Matrix(x, inputs), new Matrix(weight, inputs).Transposed, y, outputs, add);

    // dWeight = dyᵀ · x, and dx = dy · weight
    private void LinearBack(float* dy, int rows, int outputs, float* x, int inputs, int weight, float* dx)
    {
        _product.Multiply(outputs, inputs, rows, new Matrix(dy, outputs).Transposed, new Matrix(x, inputs), Gradient(weight), inputs);
        _product.Multiply(rows, inputs, outputs, new Matrix(dy, outputs), new Matrix(Weight(weight), inputs), dx, inputs);
    }

    private void Rotate(float* rowsOfHeads, int rows, int length, bool back)
    {
        var pairs = _config.HeadWidth / 2;
        float* cosines = _rotary.At(0), sines = _rotary.At(_config.ContextTokens * pairs);
        for (var row = 0; row < rows; row++)
        {
            var at = row % length * pairs;
            for (var head = 0; head < _config.Heads + _config.KeyValueHeads; head++)
                ExactKernels.Rotate(rowsOfHeads + (long)row * RowChannels + head * _config.HeadWidth, cosines + at, sines + at, pairs, back);
        }
    }

    private void Attend(Workspace space, Kept kept)
    {
        int length = space.Length, wide = _config.HeadWidth;
        var scale = 1 / MathF.Sqrt(wide);
        for (var i = 0; i < space.Sequences * _config.Heads; i++)
        {
            var (query, key, value) = HeadAt(i, length);
            var weights = kept.Attention + (long)i * length * length;
            _product.Multiply(length, length, wide, new Matrix(kept.QueryKeyValue + query, RowChannels), new Matrix(kept.QueryKeyValue + key, RowChannels).Transposed,
                weights, length, triangle: Triangle.LowerResult);
            ExactKernels.CausalSoftmax(weights, length, scale);
            _product.Multiply(length, wide, length, new Matrix(weights, length), new Matrix(kept.QueryKeyValue + value, RowChannels),
                kept.Attended + OutputOf(i, length), Width, triangle: Triangle.LowerLeft);
        }
    }

    private void AttendBack(Workspace space, Kept kept)
    {
        int length = space.Length, wide = _config.HeadWidth;
        var scale = 1 / MathF.Sqrt(wide);
        new Span<float>(space.DQueryKeyValue, space.Rows * RowChannels).Clear();   // heads that share a key add to it
        for (var i = 0; i < space.Sequences * _config.Heads; i++)
        {
            var (query, key, value) = HeadAt(i, length);
            var weights = kept.Attention + (long)i * length * length;
            var dOutput = new Matrix(space.DAttended + OutputOf(i, length), Width);
            var dScores = space.DScores;
            _product.Multiply(length, wide, length, new Matrix(weights, length).Transposed, dOutput, space.DQueryKeyValue + value, RowChannels, add: true, Triangle.UpperLeft);
            _product.Multiply(length, length, wide, dOutput, new Matrix(kept.QueryKeyValue + value, RowChannels).Transposed, dScores, length, triangle: Triangle.LowerResult);
            ExactKernels.CausalSoftmaxBack(weights, dScores, length, scale);
            _product.Multiply(length, wide, length, new Matrix(dScores, length), new Matrix(kept.QueryKeyValue + key, RowChannels),
                space.DQueryKeyValue + query, RowChannels, triangle: Triangle.LowerLeft);
            _product.Multiply(length, wide, length, new Matrix(dScores, length).Transposed, new Matrix(kept.QueryKeyValue + query, RowChannels),
                space.DQueryKeyValue + key, RowChannels, add: true, Triangle.UpperLeft);
        }
    }

    // Offsets of one head of one sequence inside rows of [query heads | key heads | value heads].
    private (long Query, long Key, long Value) HeadAt(int i, int length)
    {
        int heads = _config.Heads, shared = _config.KeyValueHeads, wide = _config.HeadWidth;
        var sequence = (long)(i / heads) * length * RowChannels;
        int head = i % heads, sharedHead = head / (heads / shared);
        return (sequence + head * wide, sequence + (heads + sharedHead) * wide, sequence + (heads + shared + sharedHead) * wide);
    }

    private long OutputOf(int i, int length) => (long)(i / _config.Heads) * length * Width + i % _config.Heads * _config.HeadWidth;

    private float* Weight(int offset) => _weights.At(offset);

    private float* Gradient(int offset) => _gradients.At(offset);

    private Workspace Reserve(int sequences, int length)
    {
        if (_workspace is { } fits && fits.Sequences == sequences && fits.Length == length) return fits;
        _workspace?.Dispose();
        return _workspace = new Workspace(_config, RowChannels, sequences, length);
    }

    public void Dispose()
    {
        _workspace?.Dispose();
        _product.Dispose();
        ((IDisposable)_rotary).Dispose();
    }

    /// <summary>What one layer keeps for the way back.</summary>
    private sealed class Kept
    {
        public float* Input, Scales, Normed, QueryKeyValue, Attention, Attended, Middle, MiddleScales, MiddleNormed, GateUp, Gated;
    }

    /// <summary>All memory of a forward and backward pass of one shape, allocated once.</summary>
    private sealed class Workspace : IDisposable
    {
        private readonly List<nint> _blocks = [];

        public Workspace(LanguageModelConfig config, int rowChannels, int sequences, int length)
        {
            (Sequences, Length, Rows) = (sequences, length, sequences * length);
            long rows = Rows, width = config.Width, channels = config.FeedForward, square = (long)length * length;
            Layers =
            [
                .. Enumerable.Range(0, config.Layers).Select(_ => new Kept
                {
                    Input = Take(rows * width), Scales = Take(rows), Normed = Take(rows * width), QueryKeyValue = Take(rows * rowChannels),
                    Attention = Take(sequences * config.Heads * square), Attended = Take(rows * width), Middle = Take(rows * width), MiddleScales = Take(rows),
                    MiddleNormed = Take(rows * width), GateUp = Take(rows * 2 * channels), Gated = Take(rows * channels),
                }),
            ];
            Output = Take(rows * width);
            OutputNormed = Take(rows * width);
            OutputScales = Take(rows);
            Logits = Take(rows * config.VocabularySize);
            DStream = Take(rows * width);
            DNormed = Take(rows * width);
            DAttended = Take(rows * width);
            DGated = Take(rows * channels);
            DGateUp = Take(rows * 2 * channels);
            DQueryKeyValue = Take(rows * rowChannels);
            DScores = Take(square);
        }

        public int Sequences { get; }

        public int Length { get; }

        public int Rows { get; }

        public Kept[] Layers { get; }

        public readonly float* Output, OutputNormed, OutputScales, Logits, DStream, DNormed, DAttended, DGated, DGateUp, DQueryKeyValue, DScores;

        public void Dispose()
        {
            foreach (var block in _blocks) NativeMemory.AlignedFree((void*)block);
            _blocks.Clear();
        }

        private float* Take(long length)
        {
            var block = (nint)NativeMemory.AlignedAlloc(checked((nuint)length * sizeof(float)), 64);
            _blocks.Add(block);
            return (float*)block;
        }
    }
}
