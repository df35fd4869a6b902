namespace Aisle.Tensors;

/// <summary>
/// A LLaMA-style language model whose weights and gradients each lie in one flat float32 arena, so that optimisers, exchanges and files treat it as one array.
/// </summary>
/// <remarks>
/// One thread computes; not thread-safe. The same weights and tokens give the same bits on every call within one numeric class.
/// Reference: Touvron et al. 2023, "LLaMA"; layout and names are Hugging Face's LlamaForCausalLM.
/// </remarks>
public sealed partial class LanguageModel : IDisposable
{
    private readonly Arena _weights;
    private readonly Arena _gradients;
    private readonly TensorSlot[] _slots;
    private readonly ILanguageModelArithmetic _arithmetic;

    /// <summary>All weights are zero until <see cref="Initialize"/> or until they are copied into <see cref="Weights"/>.</summary>
    /// <exception cref="AisleException">AISLE-5010: the shape cannot be built; AISLE-5001 to 5007: libtorch cannot be loaded here.</exception>
    public LanguageModel(LanguageModelConfig config)
        : this(config, ArithmeticChoices.OfThisProcess())
    {
    }

    internal LanguageModel(LanguageModelConfig config, ArithmeticChoice choice)
    {
        config.Validate();
        Config = config;
        _slots = SlotsOf(config);
        ParameterCount = _slots[^1].Offset + _slots[^1].Length;
        _weights = new Arena(ParameterCount);
        _gradients = new Arena(ParameterCount);
        _arithmetic = choice == ArithmeticChoice.Exact
            ? new ExactArithmetic(config, _slots, _weights, _gradients)
            : new TorchArithmetic(config, _slots, _weights, _gradients);
    }

    public LanguageModelConfig Config { get; }

    /// <summary>Floats in each arena. The slots fill it without gaps.</summary>
    public int ParameterCount { get; }

    /// <summary>In the order of the arena.</summary>
    public IReadOnlyList<TensorSlot> Slots => _slots;

    /// <summary>The arena the model computes with: writing here changes the model at once. Valid until the model is disposed. 64-byte aligned, never moves.</summary>
    public Span<float> Weights => _weights.GetSpan();

    /// <summary>What the last <see cref="ComputeGradient"/> left, in the same order as <see cref="Weights"/>.</summary>
    public Span<float> Gradients => _gradients.GetSpan();

    /// <summary><see cref="Weights"/>, for use across awaits.</summary>
    public Memory<float> WeightMemory => _weights.Memory;

    /// <summary><see cref="Gradients"/>, for use across awaits.</summary>
    public Memory<float> GradientMemory => _gradients.Memory;

    /// <summary>Random starting weights, a pure function of the shape and <paramref name="seed"/>: the same bits on every machine.</summary>
    public void Initialize(ulong seed) => WeightInitialization.Fill(Weights, _slots, Config.Layers, seed);

    public void Dispose()
    {
        _arithmetic.Dispose();
        ((IDisposable)_weights).Dispose();
        ((IDisposable)_gradients).Dispose();
    }

    /// <summary>Where each tensor lies. Query, key and value stand together, and so do gate and up: each group is multiplied as one matrix.</summary>
    internal static TensorSlot[] SlotsOf(LanguageModelConfig config)
    {
        List<TensorSlot> slots = [];
        var offset = 0;
        int width = config.Width, keyWidth = config.KeyValueHeads * config.HeadWidth;
        Matrix("model.embed_tokens.weight", config.VocabularySize, width);
        for (var i = 0; i < config.Layers; i++)
        {
            var layer = $"model.layers.{i}.";
            Norm($"{layer}input_layernorm.weight");
            Matrix($"{layer}self_attn.q_proj.weight", width, width);
            Matrix($"{layer}self_attn.k_proj.weight", keyWidth, width);
            Matrix($"{layer}self_attn.v_proj.weight", keyWidth, width);
            Matrix($"{layer}self_attn.o_proj.weight", width, width);
            Norm($"{layer}post_attention_layernorm.weight");
            Matrix($"{layer}mlp.gate_proj.weight", config.FeedForward, width);
            Matrix($"{layer}mlp.up_proj.weight", config.FeedForward, width);
            Matrix($"{layer}mlp.down_proj.weight", width, config.FeedForward);
        }

        Norm("model.norm.weight");
        if (!config.TiedEmbeddings) Matrix("lm_head.weight", config.VocabularySize, width);
        return [.. slots];

        void Matrix(string name, int outputs, int inputs) => Place(new TensorSlot(name, [outputs, inputs], offset, Decays: true));
        void Norm(string name) => Place(new TensorSlot(name, [width], offset, Decays: false));
        void Place(TensorSlot slot)
        {
            slots.Add(slot);
            offset += slot.Length;
        }
    }
}
