using System.Collections.Immutable;

namespace Aisle.Tensors;

/// <summary>A norm's weight, and its bias or −1: offsets into the arenas.</summary>
internal readonly record struct NormPart(int Weight, int Bias);

/// <summary>A matrix [outputs, inputs] and its bias (or −1): offsets into the arenas. Several matrices of one input lie together and are multiplied as one.</summary>
internal sealed record LinearPart(int Weight, int Bias, int Inputs, int Outputs, ImmutableArray<LinearModule> Modules);

/// <summary>One named matrix of a <see cref="LinearPart"/>: rows <paramref name="FirstOutput"/> and on of it.</summary>
/// <param name="Name">Of the tensor, without <c>.weight</c>.</param>
internal sealed record LinearModule(string Name, int FirstOutput, int Outputs)
{
    /// <summary>What a LoRA recipe calls it: <c>q_proj</c>.</summary>
    public string ShortName => Name[(Name.LastIndexOf('.') + 1)..];
}

internal sealed record LayerLayout(NormPart InputNorm, LinearPart QueryKeyValue, LinearPart Output, NormPart FeedForwardNorm, LinearPart Up, LinearPart Down)
{
    public IEnumerable<LinearPart> Linears => [QueryKeyValue, Output, Up, Down];
}

/// <summary>Where each tensor of a model lies in the arenas: by name, for files; by part, for the mathematics. The slots fill the arena without gaps.</summary>
internal sealed class ModelLayout
{
    private readonly ImmutableArray<TensorSlot>.Builder _slots = ImmutableArray.CreateBuilder<TensorSlot>();
    private int _length;

    /// <param name="config">Validated.</param>
    public ModelLayout(LanguageModelConfig config)
    {
        int width = config.Width, keyWidth = config.KeyValueHeads * config.HeadWidth, channels = config.FeedForward;
        if (config.Family == ModelFamily.Gpt2)
        {
            Embedding = Place("transformer.wte.weight", [config.VocabularySize, width], decays: true);
            Positions = Place("transformer.wpe.weight", [config.ContextTokens, width], decays: true);
            Layers =
            [
                .. Enumerable.Range(0, config.Layers).Select(i => $"transformer.h.{i}.").Select(layer => new LayerLayout(
                    Norm($"{layer}ln_1", width, bias: true),
                    Linear(width, bias: true, transposed: true, ($"{layer}attn.c_attn", 3 * width)),
                    Linear(width, bias: true, transposed: true, ($"{layer}attn.c_proj", width)),
                    Norm($"{layer}ln_2", width, bias: true),
                    Linear(width, bias: true, transposed: true, ($"{layer}mlp.c_fc", channels)),
                    Linear(channels, bias: true, transposed: true, ($"{layer}mlp.c_proj", width)))),
            ];
            FinalNorm = Norm("transformer.ln_f", width, bias: true);
        }
        else
        {
            Embedding = Place("model.embed_tokens.weight", [config.VocabularySize, width], decays: true);
            Positions = -1;
            Layers =
            [
                .. Enumerable.Range(0, config.Layers).Select(i => $"model.layers.{i}.").Select(layer => new LayerLayout(
                    Norm($"{layer}input_layernorm", width, bias: false),
                    Linear(width, bias: config.Family == ModelFamily.Qwen2, transposed: false,
                        ($"{layer}self_attn.q_proj", width), ($"{layer}self_attn.k_proj", keyWidth), ($"{layer}self_attn.v_proj", keyWidth)),
                    Linear(width, bias: false, transposed: false, ($"{layer}self_attn.o_proj", width)),
                    Norm($"{layer}post_attention_layernorm", width, bias: false),
                    Linear(width, bias: false, transposed: false, ($"{layer}mlp.gate_proj", channels), ($"{layer}mlp.up_proj", channels)),
                    Linear(channels, bias: false, transposed: false, ($"{layer}mlp.down_proj", width)))),
            ];
            FinalNorm = Norm("model.norm", width, bias: false);
        }

        Head = new LinearPart(config.TiedEmbeddings ? Embedding : Place("lm_head.weight", [config.VocabularySize, width], decays: true), -1, width, config.VocabularySize, []);
        Slots = _slots.ToImmutable();
        EmbeddingName = Slots[0].Name;
    }

    public ImmutableArray<TensorSlot> Slots { get; }

    /// <summary>Floats in all slots together.</summary>
    public int Length => _length;

    public int Embedding { get; }

    public string EmbeddingName { get; }

    /// <summary>Of the table of learned positions; −1 where positions are rotary.</summary>
    public int Positions { get; }

    public ImmutableArray<LayerLayout> Layers { get; }

    public NormPart FinalNorm { get; }

    public LinearPart Head { get; }

    private NormPart Norm(string name, int width, bool bias) =>
        new(Place($"{name}.weight", [width], decays: false), bias ? Place($"{name}.bias", [width], decays: false) : -1);

    private LinearPart Linear(int inputs, bool bias, bool transposed, params (string Name, int Outputs)[] modules)
    {
        int weight = _length, outputs = 0;
        var named = ImmutableArray.CreateBuilder<LinearModule>(modules.Length);
        foreach (var (name, rows) in modules)
        {
            Place($"{name}.weight", [rows, inputs], decays: true, transposed);
            named.Add(new LinearModule(name, outputs, rows));
            outputs += rows;
        }

        var biases = bias ? _length : -1;
        if (bias)
        {
            foreach (var (name, rows) in modules) Place($"{name}.bias", [rows], decays: false);
        }

        return new LinearPart(weight, biases, inputs, outputs, named.MoveToImmutable());
    }

    private int Place(string name, ImmutableArray<int> shape, bool decays, bool transposed = false)
    {
        var slot = new TensorSlot(name, shape, _length, decays) { TransposedInFiles = transposed };
        _slots.Add(slot);
        _length = checked(_length + slot.Length);
        return slot.Offset;
    }
}
