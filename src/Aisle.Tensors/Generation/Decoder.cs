namespace Aisle.Tensors;

// Shapes in this file: n tokens of one call, D width, N query heads, K key and value heads, H channels per head, F feed-forward channels, V vocabulary.
/// <summary>
/// Reads one sequence token by token and remembers its keys and values, in plain C# over the weights: no libtorch, no allocation per token.
/// Gives the same tokens as <see cref="LanguageModel.ComputeLogits"/> and logits equal to about 1e-5; not the same bits.
/// </summary>
/// <remarks>Not thread-safe; several decoders may share one <see cref="ModelWeights"/>. Memory: 2 · layers · K · H · context floats.</remarks>
public sealed class Decoder
{
    private const int MostAtOnce = 32;   // tokens of a prompt that pass over the weights together: enough to make the weights' reading cheap
    private readonly ModelWeights _weights;
    private readonly LanguageModelConfig _config;
    private readonly RotaryTable _rotary;
    private readonly Layer[] _layers;
    private readonly int _embedding, _norm, _head;
    private readonly float[] _hidden, _normed, _attended, _queryKeyValue, _gateUp, _gated, _added, _scores, _logits;

    // Offsets into the weights, and the layer's own cache: [K, context, H] each.
    private sealed record Layer(int InputNorm, int QueryKeyValue, int Output, int FeedForwardNorm, int GateUp, int Down, float[] Keys, float[] Values);

    public Decoder(ModelWeights weights)
    {
        _weights = weights;
        _config = weights.Config;
        _rotary = weights.Rotary;
        var offsets = weights.Slots.ToDictionary(slot => slot.Name, slot => slot.Offset);
        _embedding = offsets["model.embed_tokens.weight"];
        _norm = offsets["model.norm.weight"];
        _head = _config.TiedEmbeddings ? _embedding : offsets["lm_head.weight"];
        var cache = _config.KeyValueHeads * _config.ContextTokens * _config.HeadWidth;
        _layers =
        [
            .. Enumerable.Range(0, _config.Layers).Select(i => $"model.layers.{i}.").Select(layer => new Layer(
                offsets[layer + "input_layernorm.weight"], offsets[layer + "self_attn.q_proj.weight"], offsets[layer + "self_attn.o_proj.weight"],
                offsets[layer + "post_attention_layernorm.weight"], offsets[layer + "mlp.gate_proj.weight"], offsets[layer + "mlp.down_proj.weight"],
                new float[cache], new float[cache])),
        ];
        _hidden = new float[MostAtOnce * _config.Width];
        _normed = new float[_hidden.Length];
        _attended = new float[_hidden.Length];
        _added = new float[_hidden.Length];
        _queryKeyValue = new float[MostAtOnce * (_config.Heads + 2 * _config.KeyValueHeads) * _config.HeadWidth];
        _gateUp = new float[MostAtOnce * 2 * _config.FeedForward];
        _gated = new float[MostAtOnce * _config.FeedForward];
        _scores = new float[_config.ContextTokens];
        _logits = new float[_config.VocabularySize];
    }

    /// <summary>Tokens read so far; at most the model's context.</summary>
    public int Position { get; private set; }

    /// <summary>Forgets everything read.</summary>
    public void Reset() => Position = 0;

    /// <summary>Reads tokens after those read before.</summary>
    /// <returns>The scores of the next token, one per entry of the vocabulary; overwritten by the next call.</returns>
    /// <exception cref="AisleException">AISLE-5012: a token outside the vocabulary. AISLE-5013: more than the context holds.</exception>
    public ReadOnlySpan<float> Read(scoped ReadOnlySpan<int> tokens)
    {
        ArgumentOutOfRangeException.ThrowIfZero(tokens.Length);
        if (tokens.Length > _config.ContextTokens - Position)
            throw new AisleException("AISLE-5013", $"{Position} tokens and {tokens.Length} more do not fit the context of {_config.ContextTokens}.", "Shorten the text.");
        foreach (var token in tokens)
        {
            if ((uint)token >= (uint)_config.VocabularySize)
                throw new AisleException("AISLE-5012", $"Token {token} is not among the {_config.VocabularySize} the model knows.", "Use the tokenizer the model was trained with.");
        }

        var count = 0;
        for (; tokens.Length > 0; tokens = tokens[count..])
        {
            count = Math.Min(MostAtOnce, tokens.Length);
            ReadBlock(tokens[..count]);
        }

        var last = _hidden.AsSpan((count - 1) * _config.Width, _config.Width);
        Kernels.Normalise(last, Slice(_norm, _config.Width), (float)_config.NormEpsilon, _normed);
        Kernels.Multiply(Slice(_head, _config.VocabularySize * _config.Width), _config.VocabularySize, _config.Width, _normed, 1, _logits);
        return _logits;
    }

    private void ReadBlock(scoped ReadOnlySpan<int> tokens)
    {
        int n = tokens.Length, width = _config.Width, channels = _config.FeedForward;
        var rowWidth = (_config.Heads + 2 * _config.KeyValueHeads) * _config.HeadWidth;
        var hidden = _hidden.AsSpan(0, n * width);
        for (var i = 0; i < n; i++) Slice(_embedding + tokens[i] * width, width).CopyTo(hidden.Slice(i * width, width));
        foreach (var layer in _layers)
        {
            Kernels.Normalise(hidden, Slice(layer.InputNorm, width), (float)_config.NormEpsilon, _normed);
            Kernels.Multiply(Slice(layer.QueryKeyValue, rowWidth * width), rowWidth, width, _normed, n, _queryKeyValue);
            for (var i = 0; i < n; i++) Attend(layer, _queryKeyValue.AsSpan(i * rowWidth, rowWidth), Position + i, _attended.AsSpan(i * width, width));
            Kernels.Multiply(Slice(layer.Output, width * width), width, width, _attended, n, _added);
            Kernels.AddScaled(hidden, _added.AsSpan(0, n * width), 1);

            Kernels.Normalise(hidden, Slice(layer.FeedForwardNorm, width), (float)_config.NormEpsilon, _normed);
            Kernels.Multiply(Slice(layer.GateUp, 2 * channels * width), 2 * channels, width, _normed, n, _gateUp);
            Kernels.Gate(_gateUp, channels, _gated.AsSpan(0, n * channels));
            Kernels.Multiply(Slice(layer.Down, width * channels), width, channels, _gated, n, _added);
            Kernels.AddScaled(hidden, _added.AsSpan(0, n * width), 1);
        }

        Position += n;
    }

    // One token at a time, so that a token of a block sees those before it and none after.
    private void Attend(Layer layer, Span<float> queryKeyValue, int position, Span<float> output)
    {
        int heads = _config.Heads, shared = _config.KeyValueHeads, wide = _config.HeadWidth;
        for (var head = 0; head < heads + shared; head++) Turn(queryKeyValue.Slice(head * wide, wide), position);
        for (var head = 0; head < shared; head++)
        {
            var at = (head * _config.ContextTokens + position) * wide;
            queryKeyValue.Slice((heads + head) * wide, wide).CopyTo(layer.Keys.AsSpan(at));
            queryKeyValue.Slice((heads + shared + head) * wide, wide).CopyTo(layer.Values.AsSpan(at));
        }

        var scores = _scores.AsSpan(0, position + 1);
        var scale = 1 / MathF.Sqrt(wide);
        for (var head = 0; head < heads; head++)
        {
            var query = queryKeyValue.Slice(head * wide, wide);
            var at = head / (heads / shared) * _config.ContextTokens * wide;
            for (var t = 0; t <= position; t++) scores[t] = Kernels.Dot(query, layer.Keys.AsSpan(at + t * wide, wide)) * scale;
            Kernels.Softmax(scores);
            var mixed = output.Slice(head * wide, wide);
            mixed.Clear();
            for (var t = 0; t <= position; t++) Kernels.AddScaled(mixed, layer.Values.AsSpan(at + t * wide, wide), scores[t]);
        }
    }

    private void Turn(Span<float> head, int position)
    {
        var pairs = _rotary.Pairs;
        var cosines = _rotary.Cosines.AsSpan(position * pairs, pairs);
        var sines = _rotary.Sines.AsSpan(position * pairs, pairs);
        for (var i = 0; i < pairs; i++)
        {
            float first = head[i], second = head[pairs + i];
            head[i] = first * cosines[i] - second * sines[i];
            head[pairs + i] = second * cosines[i] + first * sines[i];
        }
    }

    private ReadOnlySpan<float> Slice(int offset, int length) => _weights.Values.Slice(offset, length);
}
