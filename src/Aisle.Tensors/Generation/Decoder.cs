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
    private readonly RotaryTable? _rotary;
    private readonly ModelLayout _layout;
    private readonly Cache[] _caches;
    private readonly float[] _hidden, _normed, _attended, _queryKeyValue, _up, _activated, _added, _scores, _logits;

    // A layer's: [K, context, H] each.
    private sealed record Cache(float[] Keys, float[] Values);

    public Decoder(ModelWeights weights)
    {
        _weights = weights;
        _config = weights.Config;
        _rotary = weights.Rotary;
        _layout = weights.Layout;
        var cache = _config.KeyValueHeads * _config.ContextTokens * _config.HeadWidth;
        _caches = [.. Enumerable.Range(0, _config.Layers).Select(_ => new Cache(new float[cache], new float[cache]))];
        _hidden = new float[MostAtOnce * _config.Width];
        _normed = new float[_hidden.Length];
        _attended = new float[_hidden.Length];
        _added = new float[_hidden.Length];
        _queryKeyValue = new float[MostAtOnce * _config.RowChannels];
        _up = new float[MostAtOnce * _config.UpChannels];
        _activated = new float[MostAtOnce * _config.FeedForward];
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
        Normalise(last, _layout.FinalNorm);
        Multiply(_layout.Head, _normed, 1, _logits);
        return _logits;
    }

    private void ReadBlock(scoped ReadOnlySpan<int> tokens)
    {
        int n = tokens.Length, width = _config.Width, channels = _config.FeedForward, rowWidth = _config.RowChannels;
        var hidden = _hidden.AsSpan(0, n * width);
        for (var i = 0; i < n; i++)
        {
            var row = hidden.Slice(i * width, width);
            Slice(_layout.Embedding + tokens[i] * width, width).CopyTo(row);
            if (_layout.Positions >= 0) Kernels.AddScaled(row, Slice(_layout.Positions + (Position + i) * width, width), 1);
        }

        for (var at = 0; at < _caches.Length; at++)
        {
            var layer = _layout.Layers[at];
            Normalise(hidden, layer.InputNorm);
            Multiply(layer.QueryKeyValue, _normed, n, _queryKeyValue);
            for (var i = 0; i < n; i++) Attend(_caches[at], _queryKeyValue.AsSpan(i * rowWidth, rowWidth), Position + i, _attended.AsSpan(i * width, width));
            Multiply(layer.Output, _attended, n, _added);
            Kernels.AddScaled(hidden, _added.AsSpan(0, n * width), 1);

            Normalise(hidden, layer.FeedForwardNorm);
            Multiply(layer.Up, _normed, n, _up);
            if (_config.IsGated) Kernels.Gate(_up, channels, _activated.AsSpan(0, n * channels));
            else Kernels.Gelu(_up.AsSpan(0, n * channels), _activated);
            Multiply(layer.Down, _activated, n, _added);
            Kernels.AddScaled(hidden, _added.AsSpan(0, n * width), 1);
        }

        Position += n;
    }

    private void Normalise(ReadOnlySpan<float> hidden, NormPart norm)
    {
        var weight = Slice(norm.Weight, _config.Width);
        if (norm.Bias < 0) Kernels.Normalise(hidden, weight, (float)_config.NormEpsilon, _normed);
        else Kernels.NormaliseLayer(hidden, weight, Slice(norm.Bias, _config.Width), (float)_config.NormEpsilon, _normed);
    }

    private void Multiply(LinearPart part, ReadOnlySpan<float> inputs, int count, Span<float> outputs)
    {
        Kernels.Multiply(Slice(part.Weight, part.Outputs * part.Inputs), part.Outputs, part.Inputs, inputs, count, outputs);
        if (part.Bias < 0) return;
        for (var i = 0; i < count; i++) Kernels.AddScaled(outputs.Slice(i * part.Outputs, part.Outputs), Slice(part.Bias, part.Outputs), 1);
    }

    // One token at a time, so that a token of a block sees those before it and none after.
    private void Attend(Cache cache, Span<float> queryKeyValue, int position, Span<float> output)
    {
        int heads = _config.Heads, shared = _config.KeyValueHeads, wide = _config.HeadWidth;
        for (var head = 0; head < heads + shared; head++) Turn(queryKeyValue.Slice(head * wide, wide), position);
        for (var head = 0; head < shared; head++)
        {
            var at = (head * _config.ContextTokens + position) * wide;
            queryKeyValue.Slice((heads + head) * wide, wide).CopyTo(cache.Keys.AsSpan(at));
            queryKeyValue.Slice((heads + shared + head) * wide, wide).CopyTo(cache.Values.AsSpan(at));
        }

        var scores = _scores.AsSpan(0, position + 1);
        var scale = 1 / MathF.Sqrt(wide);
        for (var head = 0; head < heads; head++)
        {
            var query = queryKeyValue.Slice(head * wide, wide);
            var at = head / (heads / shared) * _config.ContextTokens * wide;
            for (var t = 0; t <= position; t++) scores[t] = Kernels.Dot(query, cache.Keys.AsSpan(at + t * wide, wide)) * scale;
            Kernels.Softmax(scores);
            var mixed = output.Slice(head * wide, wide);
            mixed.Clear();
            for (var t = 0; t <= position; t++) Kernels.AddScaled(mixed, cache.Values.AsSpan(at + t * wide, wide), scores[t]);
        }
    }

    private void Turn(Span<float> head, int position)
    {
        if (_rotary is null) return;
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
