using System.Text.Json;
using System.Text.Json.Serialization;
using Aisle.Tensors;

namespace Aisle.Training.LanguageModels;

/// <summary>How well a model predicts text it has not seen.</summary>
/// <param name="BitsPerByte">Bits needed for each UTF-8 byte of the text; comparable between tokenizers.</param>
/// <param name="LossPerToken">Mean cross-entropy in nats.</param>
public sealed record EvaluationResult(double BitsPerByte, double LossPerToken, long Tokens, long Bytes)
{
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, EvaluationJson.Default.EvaluationResult);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(EvaluationResult))]
internal sealed partial class EvaluationJson : JsonSerializerContext;

/// <summary>Measures a model folder on the validation tokens of a tokens folder: every token once, in order, on one thread, so the figures repeat.</summary>
public static class LanguageModelEvaluation
{
    private const int SequencesAtOnce = 4;

    /// <param name="separateDocuments">Whether each document of a window is read as if it stood alone.</param>
    public static Task<EvaluationResult> RunAsync(string modelFolder, string tokensFolder, bool separateDocuments, IProgress<(long Done, long Total)>? progress, CancellationToken cancellationToken) =>
        Task.Run(() => Run(modelFolder, tokensFolder, separateDocuments, progress, cancellationToken), cancellationToken);

    private static EvaluationResult Run(string modelFolder, string tokensFolder, bool separateDocuments, IProgress<(long Done, long Total)>? progress, CancellationToken cancellationToken)
    {
        var description = TokensDescription.Read(tokensFolder);
        using var model = LanguageModel.Load(modelFolder, new LanguageModelOptions { DocumentStart = separateDocuments ? description.EndOfText : null });
        using var tokens = new TokenFile(Path.Combine(tokensFolder, "validation.u16"), description.ValidationTokens);
        var context = model.Config.ContextTokens;
        var windows = (description.ValidationTokens - 1) / context;
        if (windows < 1)
            throw new AisleException("AISLE-5145", $"{description.ValidationTokens} validation tokens are fewer than one window of {context + 1}.", "Hold out more text with the `tokenize` step's validation.");

        double loss = 0;
        for (long window = 0; window < windows; window += SequencesAtOnce)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var sequences = (int)Math.Min(SequencesAtOnce, windows - window);
            var batch = new int[sequences * (context + 1)];
            for (var i = 0; i < sequences; i++) tokens.Copy((window + i) * context, batch.AsSpan(i * (context + 1), context + 1), model.Config.VocabularySize);
            loss += model.ComputeLoss(batch, sequences, context);
            progress?.Report((window + sequences, windows));
        }
        var predicted = windows * context;
        // The tail that fills no window is not predicted; the bytes are counted in proportion.
        var bytes = description.ValidationBytes * ((double)predicted / description.ValidationTokens);
        return new EvaluationResult(loss / Math.Log(2) / bytes, loss / predicted, predicted, (long)bytes);
    }
}
