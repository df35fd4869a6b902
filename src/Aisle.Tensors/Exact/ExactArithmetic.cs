namespace Aisle.Tensors;

// Shapes in this file: R rows (sequences · length), T tokens of a sequence, D width, Q channels of query, key and value heads together, F feed-forward, V vocabulary.
/// <summary>A language model's mathematics in C#, with the same bits on every processor. One thread; not thread-safe.</summary>
internal sealed unsafe partial class ExactArithmetic : ILanguageModelArithmetic
{
    private readonly LanguageModelConfig _config;
    private readonly ModelLayout _layout;
    private readonly ExactWeights _weights;
    private readonly Arena? _gradients;          // null: the model is frozen, and only its adapters learn
    private readonly LowRankAdapters? _adapters;
    private readonly LanguageModelOptions _options;
    private readonly ExactProduct _product = new();
    private readonly Arena? _rotary;             // cosines, then sines
    private readonly TensorSlot[] _added;        // tensors whose gradient is gathered bit by bit
    private ActivationSpace? _space;

    /// <param name="weights">Disposed with this.</param>
    /// <param name="gradients">Null for a frozen model.</param>
    /// <param name="adapters">Null for none. Whoever made them disposes them.</param>
    /// <param name="options">All but the precision, which is the weights' own.</param>
    public ExactArithmetic(LanguageModelConfig config, ModelLayout layout, ExactWeights weights, Arena? gradients, LowRankAdapters? adapters, LanguageModelOptions options)
    {
        (_config, _layout, _weights, _gradients, _adapters, _options) = (config, layout, weights, gradients, adapters, options);
        _added = [.. layout.Slots.Where(slot => slot.Shape.Length == 1 || slot.Offset == layout.Positions || (slot.Offset == layout.Embedding && !config.TiedEmbeddings))];
        if (config.HasLearnedPositions) return;
        var table = new RotaryTable(config.ContextTokens, config.HeadWidth / 2, config.RotaryBase);
        _rotary = new Arena(2 * table.Cosines.Length);
        table.Cosines.CopyTo(_rotary.GetSpan());
        table.Sines.CopyTo(_rotary.GetSpan()[table.Cosines.Length..]);
    }

    private int Width => _config.Width;

    private int RowChannels => _config.RowChannels;

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

    private ActivationSpace Forward(ReadOnlySpan<int> tokens, int stride, int sequences, int length)
    {
        var space = Reserve(sequences, length);
        _weights.Begin();
        for (var row = 0; row < space.Rows; row++)
        {
            var hidden = space.Layers[0].Input + (long)row * Width;
            var token = tokens[row / length * stride + row % length];
            _weights.CopyRow(_layout.Embedding + token * Width, Width, hidden);
            space.Starts[row] = token == _options.DocumentStart ? row % length : row % length == 0 ? 0 : space.Starts[row - 1];
            if (_layout.Positions < 0) continue;
            _weights.CopyRow(_layout.Positions + PositionOf(space, row) * Width, Width, space.DNormed);
            ExactKernels.Add(space.DNormed, Width, hidden);
        }

        for (var i = 0; i < _layout.Layers.Length; i++)
            ForwardLayer(space, i, i + 1 < _layout.Layers.Length ? space.Layers[i + 1].Input : space.Output);
        Normalise(space.Output, _layout.FinalNorm, space.Rows, space.OutputNormed, space.OutputScales);
        Linear(space, _layout.Head, space.OutputNormed, space.Logits);
        return space;
    }

    /// <param name="output">Null when only what is kept is wanted.</param>
    private void ForwardLayer(ActivationSpace space, int i, float* output)
    {
        var layer = _layout.Layers[i];
        var kept = space.Layers[i];
        int rows = space.Rows, channels = _config.FeedForward;
        Normalise(kept.Input, layer.InputNorm, rows, kept.Normed, kept.Scales);
        Linear(space, layer.QueryKeyValue, kept.Normed, kept.QueryKeyValue);
        Rotate(kept.QueryKeyValue, space, back: false);
        Attend(space, kept);
        // The sum begins at the residual stream.
        Copy(kept.Input, kept.Middle, rows * Width);
        Linear(space, layer.Output, kept.Attended, kept.Middle, add: true);

        Normalise(kept.Middle, layer.FeedForwardNorm, rows, kept.MiddleNormed, kept.MiddleScales);
        Linear(space, layer.Up, kept.MiddleNormed, kept.Up);
        if (_config.IsGated) ExactKernels.Gate(kept.Up, rows, channels, kept.Activated);
        else ExactKernels.Gelu(kept.Up, (long)rows * channels, kept.Activated);
        if (output is null) return;
        Copy(kept.Middle, output, rows * Width);
        Linear(space, layer.Down, kept.Activated, output, add: true);
    }

    // The logits become what flows back to them.
    private double CrossEntropies(ActivationSpace space, ReadOnlySpan<int> tokens)
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
    private void Backward(ActivationSpace space, ReadOnlySpan<int> tokens, GradientReady? ready)
    {
        for (var i = 0; _gradients is not null && i < _added.Length; i++) new Span<float>(Gradient(_added[i].Offset), _added[i].Length).Clear();
        int rows = space.Rows, channels = _config.FeedForward;
        float* dStream = space.DStream, dNormed = space.DNormed;
        // Where head and embedding are one table, it is final only at the end.
        LinearBack(space, _layout.Head, space.Logits, space.OutputNormed, dNormed, _config.TiedEmbeddings ? null : ready);
        new Span<float>(dStream, rows * Width).Clear();
        NormaliseBack(dNormed, space.Output, _layout.FinalNorm, space.OutputScales, rows, dStream, ready);
        for (var i = _layout.Layers.Length - 1; i >= 0; i--)
        {
            var layer = _layout.Layers[i];
            var kept = space.Layers[i];
            // The last layer's values are those that the forward pass left.
            if (_options.Recompute && i + 1 < _layout.Layers.Length) ForwardLayer(space, i, output: null);
            LinearBack(space, layer.Down, dStream, kept.Activated, space.DActivated, ready);
            if (_config.IsGated) ExactKernels.GateBack(kept.Up, space.DActivated, rows, channels, space.DUp);
            else ExactKernels.GeluBack(kept.Up, space.DActivated, (long)rows * channels, space.DUp);
            LinearBack(space, layer.Up, space.DUp, kept.MiddleNormed, dNormed, ready);
            NormaliseBack(dNormed, kept.Middle, layer.FeedForwardNorm, kept.MiddleScales, rows, dStream, ready);

            LinearBack(space, layer.Output, dStream, kept.Attended, space.DAttended, ready);
            AttendBack(space, kept);
            Rotate(space.DQueryKeyValue, space, back: true);
            LinearBack(space, layer.QueryKeyValue, space.DQueryKeyValue, kept.Normed, dNormed, ready);
            NormaliseBack(dNormed, kept.Input, layer.InputNorm, kept.Scales, rows, dStream, ready);
        }

        if (_gradients is null) return;
        // After the head's part where the two are one table; in the order of the tokens.
        for (var row = 0; row < rows; row++)
        {
            var dHidden = dStream + (long)row * Width;
            ExactKernels.Add(dHidden, Width, Gradient(_layout.Embedding + tokens[row / space.Length * (space.Length + 1) + row % space.Length] * Width));
            if (_layout.Positions >= 0) ExactKernels.Add(dHidden, Width, Gradient(_layout.Positions + PositionOf(space, row) * Width));
        }

        ready?.Invoke(_layout.Embedding, _config.VocabularySize * Width);
        if (_layout.Positions >= 0) ready?.Invoke(_layout.Positions, _config.ContextTokens * Width);
    }

    private void Normalise(float* x, NormPart norm, int rows, float* y, float* scales)
    {
        var epsilon = (float)_config.NormEpsilon;
        if (norm.Bias < 0) ExactKernels.Normalise(x, _weights.Vector(norm.Weight), epsilon, rows, Width, y, scales);
        else ExactKernels.NormaliseLayer(x, _weights.Vector(norm.Weight), _weights.Vector(norm.Bias), epsilon, rows, Width, y, scales, scales + rows);
    }

    private void NormaliseBack(float* dy, float* x, NormPart norm, float* scales, int rows, float* dx, GradientReady? ready)
    {
        if (norm.Bias < 0) ExactKernels.NormaliseBack(dy, x, _weights.Vector(norm.Weight), scales, rows, Width, dx, Gradient(norm.Weight));
        else ExactKernels.NormaliseLayerBack(dy, x, _weights.Vector(norm.Weight), scales, scales + rows, rows, Width, dx, Gradient(norm.Weight), Gradient(norm.Bias));
        if (_gradients is null) return;
        ready?.Invoke(norm.Weight, Width);
        if (norm.Bias >= 0) ready?.Invoke(norm.Bias, Width);
    }

    private void Rotate(float* rowsOfHeads, ActivationSpace space, bool back)
    {
        if (_rotary is null) return;
        var pairs = _config.HeadWidth / 2;
        float* cosines = _rotary.At(0), sines = _rotary.At(_config.ContextTokens * pairs);
        for (var row = 0; row < space.Rows; row++)
        {
            var at = PositionOf(space, row) * pairs;
            for (var head = 0; head < _config.Heads + _config.KeyValueHeads; head++)
                ExactKernels.Rotate(rowsOfHeads + (long)row * RowChannels + head * _config.HeadWidth, cosines + at, sines + at, pairs, back);
        }
    }

    private void Attend(ActivationSpace space, KeptLayer kept)
    {
        int length = space.Length, wide = _config.HeadWidth;
        var scale = 1 / MathF.Sqrt(wide);
        for (var i = 0; i < space.Sequences * _config.Heads; i++)
        {
            var (query, key, value) = HeadAt(i, length);
            var weights = kept.Attention + (long)i * length * length;
            _product.Multiply(length, length, wide, new Matrix(kept.QueryKeyValue + query, RowChannels), new Matrix(kept.QueryKeyValue + key, RowChannels).Transposed,
                weights, length, triangle: Triangle.LowerResult);
            ExactKernels.CausalSoftmax(weights, length, StartsOf(space, i), scale);
            _product.Multiply(length, wide, length, new Matrix(weights, length), new Matrix(kept.QueryKeyValue + value, RowChannels),
                kept.Attended + OutputOf(i, length), Width, triangle: Triangle.LowerLeft);
        }
    }

    private void AttendBack(ActivationSpace space, KeptLayer kept)
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
            ExactKernels.CausalSoftmaxBack(weights, dScores, length, StartsOf(space, i), scale);
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

    private ReadOnlySpan<int> StartsOf(ActivationSpace space, int i) => space.Starts.AsSpan(i / _config.Heads * space.Length, space.Length);

    private static int PositionOf(ActivationSpace space, int row) => row % space.Length - space.Starts[row];

    private long OutputOf(int i, int length) => (long)(i / _config.Heads) * length * Width + i % _config.Heads * _config.HeadWidth;

    private float* Gradient(int offset) => _gradients is null ? null : _gradients.At(offset);

    private static void Copy(float* from, float* to, int length) => new ReadOnlySpan<float>(from, length).CopyTo(new Span<float>(to, length));

    private ActivationSpace Reserve(int sequences, int length)
    {
        if (_space is { } fits && fits.Sequences == sequences && fits.Length == length) return fits;
        _space?.Dispose();
        return _space = new ActivationSpace(_config, sequences, length, _options.Recompute, _adapters?.Rank ?? 0);
    }

    public void Dispose()
    {
        _space?.Dispose();
        _product.Dispose();
        _weights.Dispose();
        ((IDisposable?)_rotary)?.Dispose();
    }
}
