namespace Aisle.Tensors;

/// <summary>Bytes that a model will hold outside the managed heap once it has computed a gradient: a pure function of its shape. <see cref="ModelMemory"/> counts what it does hold.</summary>
/// <param name="Weights">All, the frozen ones included.</param>
/// <param name="Gradients">Of those that learn.</param>
/// <param name="Activations">What a pass keeps for the way back, and what flows back.</param>
/// <param name="Tables">Rotary positions and the products' scratch.</param>
public sealed record ModelMemoryPlan(long Weights, long Gradients, long Activations, long Tables)
{
    public long Total => Weights + Gradients + Activations + Tables;

    /// <param name="lora">Null when all weights learn.</param>
    /// <param name="sequences">Of a slice.</param>
    /// <param name="length">Tokens of a sequence.</param>
    /// <exception cref="AisleException">AISLE-5010, 5015: the model or its adapters cannot be built.</exception>
    public static ModelMemoryPlan Of(LanguageModelConfig config, LoraOptions? lora, LanguageModelOptions options, int sequences, int length)
    {
        const int Float = sizeof(float);
        config.Validate();
        long parameters = config.ParameterCount, adapters = lora is null ? 0 : AdaptedLanguageModel.CountParameters(config, lora), learning = lora is null ? parameters : adapters;
        var isHalf = lora is not null && options.Precision == WeightPrecision.BFloat16;
        long rows = (long)sequences * length, width = config.Width, row = config.RowChannels, up = config.UpChannels, channels = config.FeedForward;
        var scales = config.Family == ModelFamily.Gpt2 ? 2L : 1;
        var rest = 4 * width + row + up + channels + (long)config.Heads * length + 2 * scales;   // of a token in a layer, beside the layer's input
        var tail = 5 * width + scales + config.VocabularySize + channels + up + row + 2L * (lora?.Rank ?? 0);
        var activations = rows * (config.Layers * width + (options.Recompute ? 1 : config.Layers) * rest + tail) + (long)length * length;
        var rotary = config.HasLearnedPositions ? 0 : (long)config.ContextTokens * config.HeadWidth;
        // The widest matrix whose gradient is a product over all rows is packed, up to 256 rows at a time.
        var packed = lora is null ? Math.Max(Math.Max(config.VocabularySize, up), Math.Max(row, width)) * Math.Min(256, rows) : 256 * 8;
        return new ModelMemoryPlan(
            parameters * (isHalf ? 2 : Float) + adapters * Float, learning * Float, activations * Float, (rotary + packed + 256 * 32 + 8 * 32) * Float);
    }
}
