namespace Aisle.Tensors;

/// <summary>How a model computes; what it is stands in <see cref="LanguageModelConfig"/>.</summary>
public sealed record LanguageModelOptions
{
    /// <summary>Belongs to the result: other weights flow through the model.</summary>
    public WeightPrecision Precision { get; init; }

    /// <summary>Keep only each layer's input for the way back, and compute the rest a second time: less memory, more work, the same bits.</summary>
    public bool Recompute { get; init; }

    /// <summary>The token that begins a document, for sequences packed with several: positions start again at it and attention does not reach back before it,
    /// so each document is computed as if it stood alone. Null: a sequence is one text. Belongs to the result.</summary>
    public int? DocumentStart { get; init; }
}

/// <summary>What the weights are while the model computes. Sums, activations and gradients are float32 always.</summary>
public enum WeightPrecision
{
    Float32,

    /// <summary>Each weight rounded to bfloat16 (to the nearest, ties to even); what the optimiser updates stays float32.</summary>
    BFloat16,
}
