namespace Aisle.Tensors;

/// <summary>A model's shape and weights as plain memory, read without loading libtorch: what serving needs.</summary>
public sealed class ModelWeights
{
    private readonly float[] _values;

    private ModelWeights(LanguageModelConfig config)
    {
        Config = config;
        Layout = new ModelLayout(config);
        if (!config.HasLearnedPositions) Rotary = new RotaryTable(config.ContextTokens, config.HeadWidth / 2, config.RotaryBase);
        // Pinned, so that decoders may keep pointing at it.
        _values = GC.AllocateUninitializedArray<float>((int)config.ParameterCount, pinned: true);
    }

    /// <summary>A copy of <paramref name="values"/>, laid out as <see cref="LanguageModel.Weights"/>.</summary>
    /// <exception cref="AisleException">AISLE-5010: the shape cannot be built.</exception>
    public static ModelWeights Copy(LanguageModelConfig config, ReadOnlySpan<float> values)
    {
        config.Validate();
        var weights = new ModelWeights(config);
        if (values.Length != weights._values.Length) throw new ArgumentException($"The shape has {weights._values.Length} weights; got {values.Length}.", nameof(values));
        values.CopyTo(weights._values);
        return weights;
    }

    /// <summary>Reads config.json and model.safetensors, or the several files of a large model.</summary>
    /// <exception cref="AisleException">AISLE-5010, 5011, 5020 to 5023: a file is missing or malformed, or the two do not belong together.</exception>
    public static ModelWeights Load(string folder)
    {
        var weights = new ModelWeights(LanguageModel.ReadConfig(folder));
        LanguageModel.ReadWeights(folder, weights.Layout, weights._values);
        return weights;
    }

    public LanguageModelConfig Config { get; }

    /// <summary>In the order of <see cref="Values"/>.</summary>
    public IReadOnlyList<TensorSlot> Slots => Layout.Slots;

    public ReadOnlySpan<float> Values => _values;

    internal ModelLayout Layout { get; }

    /// <summary>Shared by all decoders of these weights; null where positions are learned.</summary>
    internal RotaryTable? Rotary { get; }
}
