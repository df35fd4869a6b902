namespace Aisle.Tensors;

/// <summary>
/// A frozen language model with low-rank adapters beside its matrices. Only the adapters learn: the arenas here are theirs, and so small that exchanging and
/// optimising them costs next to nothing.
/// </summary>
/// <remarks>One thread computes; not thread-safe. Computed by the exact arithmetic only, whose bits are the same on every machine. Dropout is none.</remarks>
public sealed partial class AdaptedLanguageModel : IDisposable
{
    private readonly ModelLayout _layout;
    private readonly LanguageModelOptions _options;
    private readonly string _folder;   // the frozen model's, from which it can be read again
    private readonly Arena? _frozen;   // null when the frozen weights are bfloat16
    private readonly LowRankAdapters _adapters;
    private readonly ExactArithmetic _arithmetic;

    private AdaptedLanguageModel(string folder, LanguageModelConfig config, LoraOptions lora, LanguageModelOptions options)
    {
        (_folder, _options, Config) = (folder, options, config);
        _layout = new ModelLayout(config);
        var adapters = new AdapterLayout(_layout, lora);
        ExactWeights weights;
        if (options.Precision == WeightPrecision.BFloat16)
        {
            weights = LanguageModel.ReadFrozenBFloat16(folder, _layout);
        }
        else
        {
            _frozen = new Arena(_layout.Length);
            try
            {
                LanguageModel.ReadWeights(folder, _layout, _frozen.GetSpan());
            }
            catch
            {
                ((IDisposable)_frozen).Dispose();
                throw;
            }

            weights = new ExactWeights(_frozen, _layout, WeightPrecision.Float32);
        }

        _adapters = new LowRankAdapters(adapters);
        _arithmetic = new ExactArithmetic(config, _layout, weights, gradients: null, _adapters, options);
    }

    /// <summary>Reads the model to be adapted, in Hugging Face's layout; the adapters are zero until <see cref="Initialize"/> or <see cref="ReadAdapter"/>.</summary>
    /// <param name="options">With bfloat16, the frozen weights take half the memory; the adapters are float32 always.</param>
    /// <returns>The caller disposes it. <paramref name="folder"/> must stay until then.</returns>
    /// <exception cref="AisleException">
    /// AISLE-5010, 5011, 5020 to 5023: a file is missing or malformed; AISLE-5014: libtorch was chosen to compute; AISLE-5015: the adapters do not fit the model.
    /// </exception>
    public static AdaptedLanguageModel Load(string folder, LoraOptions lora, LanguageModelOptions? options = null)
    {
        if (ArithmeticChoices.OfThisProcess() != ArithmeticChoice.Exact)
            throw new AisleException("AISLE-5014", "Adapters are part of the exact arithmetic, and libtorch was chosen.", $"Set {ArithmeticChoices.Variable} to exact, or leave it out.");
        return new AdaptedLanguageModel(folder, LanguageModel.ReadConfig(folder), lora, options ?? new LanguageModelOptions());
    }

    /// <summary>Parameters that learn, for a model's shape: what <see cref="ParameterCount"/> will be, without reading weights.</summary>
    /// <exception cref="AisleException">AISLE-5015: the adapters do not fit the model.</exception>
    public static int CountParameters(LanguageModelConfig config, LoraOptions lora) => new AdapterLayout(new ModelLayout(config), lora).Length;

    public LanguageModelConfig Config { get; }

    /// <summary>With the targets written out.</summary>
    public LoraOptions Lora => _adapters.Layout.Options;

    /// <summary>Floats in each of the adapters' arenas. The frozen model's are <see cref="LanguageModelConfig.ParameterCount"/>.</summary>
    public int ParameterCount => _adapters.Layout.Length;

    /// <summary>The adapters' tensors, named as PEFT names them, in the order of the arenas.</summary>
    public IReadOnlyList<TensorSlot> Slots => _adapters.Layout.Slots;

    /// <summary>The adapters' weights: writing here changes the model at once. Valid until the model is disposed.</summary>
    public Span<float> Weights => _adapters.Weights.GetSpan();

    /// <summary>What the last <see cref="ComputeGradient"/> left, in the same order.</summary>
    public Span<float> Gradients => _adapters.Gradients.GetSpan();

    /// <summary>A random and B zero, so that at first the model computes what the frozen one does. A pure function of shape and seed.</summary>
    public void Initialize(ulong seed) => _adapters.Initialize(seed);

    /// <inheritdoc cref="LanguageModel.ComputeGradient"/>
    public double ComputeGradient(ReadOnlySpan<int> tokens, int sequences, int length, GradientReady? ready = null)
    {
        LanguageModel.CheckTokens(Config, tokens, sequences, length, extra: 1);
        return _arithmetic.Gradient(tokens, sequences, length, ready);
    }

    /// <inheritdoc cref="LanguageModel.ComputeLoss"/>
    public double ComputeLoss(ReadOnlySpan<int> tokens, int sequences, int length)
    {
        LanguageModel.CheckTokens(Config, tokens, sequences, length, extra: 1);
        return _arithmetic.Loss(tokens, sequences, length);
    }

    /// <inheritdoc cref="LanguageModel.ComputeLogits"/>
    public float[] ComputeLogits(ReadOnlySpan<int> tokens)
    {
        LanguageModel.CheckTokens(Config, tokens, 1, tokens.Length, extra: 0);
        return _arithmetic.Logits(tokens);
    }

    public void Dispose()
    {
        _arithmetic.Dispose();
        _adapters.Dispose();
        ((IDisposable?)_frozen)?.Dispose();
    }
}
