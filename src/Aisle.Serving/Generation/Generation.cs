using Aisle.Tensors;
using Aisle.Tensors.Tokenizers;

namespace Aisle.Serving;

/// <summary>One continuation of one prompt. Runs once; not thread-safe.</summary>
public sealed class Generation
{
    private readonly ModelWeights _weights;
    private readonly BpeTokenizer _tokenizer;
    private readonly int[] _prompt;
    private readonly GenerationOptions _options;

    internal Generation(ModelWeights weights, BpeTokenizer tokenizer, int[] prompt, GenerationOptions options) =>
        (_weights, _tokenizer, _prompt, _options) = (weights, tokenizer, prompt, options);

    /// <summary>Tokens of the prompt that are read.</summary>
    public int PromptTokens => _prompt.Length;

    /// <summary>Tokens made so far, the one that ends a document included.</summary>
    public int CompletionTokens { get; private set; }

    /// <summary>Null until the continuation has ended by itself.</summary>
    public FinishReason? Finish { get; private set; }

    /// <summary>The continuation's text in pieces, each as soon as it is certain: whole characters, and nothing that may belong to a stop text.</summary>
    /// <exception cref="OperationCanceledException">Between two tokens.</exception>
    public IEnumerable<string> Run(CancellationToken cancellationToken = default)
    {
        var decoder = new Tensors.Decoder(_weights);
        var sampler = new Sampler(_options);
        var text = new TextStream(_options.Stop);
        var next = _prompt;
        while (Finish is null)
        {
            cancellationToken.ThrowIfCancellationRequested();
            // A model's vocabulary may be padded beyond its tokenizer's.
            var token = sampler.Pick(decoder.Read(next)[.._tokenizer.VocabularySize]);
            CompletionTokens++;
            var piece = token == _tokenizer.EndOfText ? "" : text.Add(_tokenizer.BytesOf(token));
            if (token == _tokenizer.EndOfText || text.Stopped) Finish = FinishReason.Stop;
            else if (CompletionTokens == _options.MaxTokens) Finish = FinishReason.Length;
            if (piece.Length > 0) yield return piece;
            next = [token];
        }

        var rest = text.Finish();
        if (text.Stopped) Finish = FinishReason.Stop;
        if (rest.Length > 0) yield return rest;
    }
}
