namespace Aisle.Tensors;

/// <summary>
/// A causal language model whose weights and gradients each lie in one flat float32 arena, so that optimisers, exchanges and files treat it as one array.
/// </summary>
/// <remarks>
/// One thread computes; not thread-safe. The same weights and tokens give the same bits on every call within one numeric class.
/// References: Touvron et al. 2023, "LLaMA"; Yang et al. 2024, "Qwen2"; Radford et al. 2019, "Language models are unsupervised multitask learners" (GPT-2).
/// Layout and names are Hugging Face's.
/// </remarks>
public sealed partial class LanguageModel : IDisposable
{
    private readonly Arena _weights;
    private readonly Arena _gradients;
    private readonly ModelLayout _layout;
    private readonly LanguageModelOptions _options;
    private readonly ILanguageModelArithmetic _arithmetic;

    /// <summary>All weights are zero until <see cref="Initialize"/> or until they are copied into <see cref="Weights"/>.</summary>
    /// <exception cref="AisleException">AISLE-5010: the shape cannot be built; AISLE-5014: the options need exact arithmetic; AISLE-5001 to 5007: libtorch cannot be loaded here.</exception>
    public LanguageModel(LanguageModelConfig config, LanguageModelOptions? options = null)
        : this(config, ArithmeticChoices.OfThisProcess(), options)
    {
    }

    internal LanguageModel(LanguageModelConfig config, ArithmeticChoice choice, LanguageModelOptions? options = null)
    {
        config.Validate();
        Config = config;
        _options = options ?? new LanguageModelOptions();
        if (choice != ArithmeticChoice.Exact && _options != new LanguageModelOptions())
            throw new AisleException("AISLE-5014", "bfloat16 weights, recomputed activations and separate documents are part of the exact arithmetic, and libtorch was chosen.",
                $"Set {ArithmeticChoices.Variable} to exact, or leave those options out.");
        _layout = new ModelLayout(config);
        _weights = new Arena(ParameterCount);
        _gradients = new Arena(ParameterCount);
        _arithmetic = choice == ArithmeticChoice.Exact
            ? new ExactArithmetic(config, _layout, new ExactWeights(_weights, _layout, _options.Precision), _gradients, adapters: null, _options)
            : new TorchArithmetic(config, _layout, _weights, _gradients);
    }

    public LanguageModelConfig Config { get; }

    /// <summary>Floats in each arena. The slots fill it without gaps.</summary>
    public int ParameterCount => _layout.Length;

    /// <summary>In the order of the arena.</summary>
    public IReadOnlyList<TensorSlot> Slots => _layout.Slots;

    /// <summary>The arena the model computes with: writing here changes the model at once. Valid until the model is disposed. 64-byte aligned, never moves.</summary>
    public Span<float> Weights => _weights.GetSpan();

    /// <summary>What the last <see cref="ComputeGradient"/> left, in the same order as <see cref="Weights"/>.</summary>
    public Span<float> Gradients => _gradients.GetSpan();

    /// <summary><see cref="Weights"/>, for use across awaits.</summary>
    public Memory<float> WeightMemory => _weights.Memory;

    /// <summary><see cref="Gradients"/>, for use across awaits.</summary>
    public Memory<float> GradientMemory => _gradients.Memory;

    /// <summary>Random starting weights, a pure function of the shape and <paramref name="seed"/>: the same bits on every machine.</summary>
    public void Initialize(ulong seed) => WeightInitialization.Fill(Weights, _layout.Slots, Config.Layers, seed);

    public void Dispose()
    {
        _arithmetic.Dispose();
        ((IDisposable)_weights).Dispose();
        ((IDisposable)_gradients).Dispose();
    }
}
