using Aisle.Tensors;
using Aisle.Tensors.Tokenizers;

namespace Aisle.Serving;

/// <summary>Continues texts with one model, in plain C#: libtorch is not loaded. Thread-safe; each <see cref="Generation"/> has its own memory.</summary>
public sealed class TextGenerator
{
    private readonly ModelWeights _weights;
    private readonly BpeTokenizer _tokenizer;

    /// <exception cref="AisleException">AISLE-6002: the tokenizer knows tokens that the model does not.</exception>
    public TextGenerator(ModelWeights weights, BpeTokenizer tokenizer)
    {
        if (tokenizer.VocabularySize > weights.Config.VocabularySize)
            throw new AisleException("AISLE-6002", $"The tokenizer has {tokenizer.VocabularySize} tokens and the model {weights.Config.VocabularySize}.",
                "Serve the model with the tokenizer.json it was trained with.");
        (_weights, _tokenizer) = (weights, tokenizer);
    }

    /// <summary>Reads a model folder: config.json, model.safetensors, tokenizer.json.</summary>
    /// <exception cref="AisleException">AISLE-50xx, 51xx, 6002: a file is missing, malformed, or they do not belong together.</exception>
    public static TextGenerator Load(string folder) =>
        new(ModelWeights.Load(folder), BpeTokenizer.Load(Path.Combine(folder, BpeTokenizer.FileName)));

    public int ContextTokens => _weights.Config.ContextTokens;

    /// <summary>Prepares a continuation; <see cref="Generation.Run"/> makes it.</summary>
    /// <remarks>Prompt and continuation share the context. A prompt that is too long loses its beginning: its last context − MaxTokens + 1 tokens are read
    /// (the last token made is never read back). An empty prompt starts a new document.</remarks>
    /// <exception cref="ArgumentOutOfRangeException">More tokens than the context are asked for.</exception>
    public Generation Start(string prompt, GenerationOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.MaxTokens, ContextTokens, nameof(options));
        var tokens = _tokenizer.Encode(prompt);
        if (tokens.Length == 0) tokens = [_tokenizer.EndOfText];
        var room = ContextTokens - options.MaxTokens + 1;
        return new Generation(_weights, _tokenizer, tokens.Length > room ? tokens[^room..] : tokens, options);
    }
}
