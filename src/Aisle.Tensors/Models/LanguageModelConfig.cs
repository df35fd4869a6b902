namespace Aisle.Tensors;

/// <summary>The shape of a causal language model of one of the families. Read from and written as Hugging Face's config.json.</summary>
public sealed partial record LanguageModelConfig
{
    public ModelFamily Family { get; init; }

    public required int VocabularySize { get; init; }

    public required int Layers { get; init; }

    /// <summary>Channels between blocks.</summary>
    public required int Width { get; init; }

    public required int Heads { get; init; }

    /// <summary>Heads of keys and values, each shared by Heads / KeyValueHeads query heads. As many as <see cref="Heads"/> unless set.</summary>
    public int KeyValueHeads { get => field == 0 ? Heads : field; init; }

    /// <summary>Channels inside the feed-forward part.</summary>
    public required int FeedForward { get; init; }

    /// <summary>Most tokens the model sees at once.</summary>
    public required int ContextTokens { get; init; }

    public double RotaryBase { get; init; } = 10_000;

    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>Whether the output head is the embedding table.</summary>
    public bool TiedEmbeddings { get; init; } = true;

    public int HeadWidth => Width / Heads;

    /// <summary>Whether positions are a learned table; otherwise they are rotary.</summary>
    internal bool HasLearnedPositions => Family == ModelFamily.Gpt2;

    /// <summary>Whether the feed-forward part is SwiGLU; otherwise it is GELU.</summary>
    internal bool IsGated => Family != ModelFamily.Gpt2;

    /// <summary>Channels that the feed-forward part's first product makes.</summary>
    internal int UpChannels => IsGated ? 2 * FeedForward : FeedForward;

    /// <summary>Channels of a token's queries, keys and values together.</summary>
    internal int RowChannels => (Heads + 2 * KeyValueHeads) * HeadWidth;

    /// <summary>Floats in all tensors together.</summary>
    public IReadOnlyList<TensorSlot> Tensors => new ModelLayout(this).Slots;

    public long ParameterCount
    {
        get
        {
            long width = Width, channels = FeedForward, row = RowChannels;
            var norm = Family == ModelFamily.Gpt2 ? 2 * width : width;
            var biases = Family switch { ModelFamily.Qwen2 => row, ModelFamily.Gpt2 => row + 2 * width + channels, _ => 0 };
            var layer = 2 * norm + row * width + width * width + UpChannels * width + width * channels + biases;
            return (TiedEmbeddings ? 1 : 2) * VocabularySize * width + (HasLearnedPositions ? ContextTokens * width : 0) + norm + Layers * layer;
        }
    }

    /// <summary>Throws unless the shape can be built; names every fault at once.</summary>
    /// <exception cref="AisleException">AISLE-5010.</exception>
    public void Validate()
    {
        var faults = Faults().ToList();
        if (faults.Count > 0)
            throw new AisleException("AISLE-5010", $"The model's shape cannot be built: {string.Join("; ", faults)}.", "Correct these values in the model's configuration.");
    }

    private IEnumerable<string> Faults()
    {
        foreach (var (name, value, most) in new[]
        {
            (nameof(VocabularySize), VocabularySize, 1 << 20), (nameof(Layers), Layers, 1024), (nameof(Width), Width, 1 << 16), (nameof(Heads), Heads, 1024),
            (nameof(KeyValueHeads), KeyValueHeads, 1024), (nameof(FeedForward), FeedForward, 1 << 18), (nameof(ContextTokens), ContextTokens, 1 << 20),
        })
        {
            if (value < 1 || value > most) yield return $"{name} is {value}, outside 1..{most}";
        }

        if (Heads > 0 && Width % Heads != 0) yield return $"{nameof(Width)} {Width} is not a multiple of {nameof(Heads)} {Heads}";
        else if (Heads > 0 && HeadWidth % 2 != 0 && !HasLearnedPositions) yield return $"{nameof(Width)} / {nameof(Heads)} is {HeadWidth}, and rotary positions need an even number";
        if (KeyValueHeads > 0 && Heads % KeyValueHeads != 0) yield return $"{nameof(Heads)} {Heads} is not a multiple of {nameof(KeyValueHeads)} {KeyValueHeads}";
        if (Family == ModelFamily.Gpt2 && KeyValueHeads != Heads) yield return $"{nameof(KeyValueHeads)} is {KeyValueHeads}, and this family's keys are not shared: it must be {Heads}";
        if (!Enum.IsDefined(Family)) yield return $"{nameof(Family)} is {Family}";
        if (!(RotaryBase > 1 && RotaryBase <= 1e9)) yield return $"{nameof(RotaryBase)} is {RotaryBase}, outside 1..1e9";
        if (!(NormEpsilon > 0 && NormEpsilon <= 0.1)) yield return $"{nameof(NormEpsilon)} is {NormEpsilon}, outside 0..0.1";
        if (Heads > 0 && ParameterCount > int.MaxValue) yield return $"it has {ParameterCount} parameters, more than {int.MaxValue}";
    }
}
