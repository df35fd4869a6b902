using System.Collections.Immutable;

namespace Aisle.Tensors;

/// <summary>One adapter's matrices, as offsets into the adapters' arenas, and the rows of its <see cref="LinearPart"/> that it adds to.</summary>
internal sealed record LowRankAdapter(string ModuleName, int A, int B, int Inputs, int FirstOutput, int Outputs);

/// <summary>The adapters of a frozen model: their own arenas of weights and gradients, and which matrix each stands beside.</summary>
internal sealed unsafe class LowRankAdapters : IDisposable
{
    private static readonly LowRankAdapter[] None = [];
    private readonly Dictionary<int, LowRankAdapter[]> _byPart = [];   // by the part's offset in the model's arena
    private readonly Arena _weights, _gradients;

    /// <exception cref="AisleException">AISLE-5015: targets that the model has not, or a rank beyond it; every fault is named.</exception>
    public LowRankAdapters(ModelLayout layout, LoraOptions options)
    {
        Rank = options.Rank;
        Scale = (float)(options.Alpha / options.Rank);
        Targets = options.Targets.IsEmpty ? AttentionOf(layout) : [.. options.Targets.Distinct().Order(StringComparer.Ordinal)];
        var parts = layout.Layers.SelectMany(layer => layer.Linears).ToList();
        Check(parts, options);
        var slots = ImmutableArray.CreateBuilder<TensorSlot>();
        var all = ImmutableArray.CreateBuilder<LowRankAdapter>();
        var length = 0;
        foreach (var part in parts)
        {
            var adapters = part.Modules.Where(module => Targets.Contains(module.ShortName)).Select(module => new LowRankAdapter(
                module.Name, Place($"{module.Name}.lora_A.weight", [Rank, part.Inputs]), Place($"{module.Name}.lora_B.weight", [module.Outputs, Rank]),
                part.Inputs, module.FirstOutput, module.Outputs)).ToArray();
            if (adapters.Length > 0) _byPart.Add(part.Weight, adapters);
            all.AddRange(adapters);
        }

        (Slots, All, Length) = (slots.ToImmutable(), all.ToImmutable(), length);
        _weights = new Arena(length);
        _gradients = new Arena(length);

        int Place(string name, ImmutableArray<int> shape)
        {
            var slot = new TensorSlot($"base_model.model.{name}", shape, length, Decays: true);
            slots.Add(slot);
            length = checked(length + slot.Length);
            return slot.Offset;
        }
    }

    public int Rank { get; }

    /// <summary>alpha / rank.</summary>
    public float Scale { get; }

    /// <summary>Sorted.</summary>
    public ImmutableArray<string> Targets { get; }

    /// <summary>Named as PEFT names them.</summary>
    public ImmutableArray<TensorSlot> Slots { get; }

    public ImmutableArray<LowRankAdapter> All { get; }

    /// <summary>Floats in each arena.</summary>
    public int Length { get; }

    public Span<float> Weights => _weights.GetSpan();

    public Span<float> Gradients => _gradients.GetSpan();

    /// <summary>The adapters of a matrix, or of several that are multiplied as one.</summary>
    public ReadOnlySpan<LowRankAdapter> Of(LinearPart part) => _byPart.GetValueOrDefault(part.Weight, None);

    public float* Weight(int offset) => _weights.At(offset);

    public float* Gradient(int offset) => _gradients.At(offset);

    /// <summary>A random, B zero: at first the model is the frozen one. A pure function of the seed.</summary>
    public void Initialize(ulong seed)
    {
        Weights.Clear();
        for (var i = 0; i < All.Length; i++) WeightInitialization.FillMatrix(Weights.Slice(All[i].A, Rank * All[i].Inputs), All[i].Inputs, seed, i);
    }

    public void Dispose()
    {
        ((IDisposable)_weights).Dispose();
        ((IDisposable)_gradients).Dispose();
    }

    /// <summary>Floats that adapters of these options have beside a model; AISLE-5015 as for the constructor.</summary>
    public static int LengthFor(LanguageModelConfig config, LoraOptions options)
    {
        using var adapters = new LowRankAdapters(new ModelLayout(config), options);
        return adapters.Length;
    }

    // Names differ between families; these parts do not.
    private static ImmutableArray<string> AttentionOf(ModelLayout layout) =>
        [.. layout.Layers[0].QueryKeyValue.Modules.Concat(layout.Layers[0].Output.Modules).Select(module => module.ShortName).Distinct().Order(StringComparer.Ordinal)];

    private void Check(List<LinearPart> parts, LoraOptions options)
    {
        List<string> faults = [];
        var known = parts.SelectMany(part => part.Modules).Select(module => module.ShortName).Distinct().ToList();
        foreach (var target in Targets.Where(target => !known.Contains(target))) faults.Add($"there is no '{target}' among {string.Join(", ", known)}");
        var most = parts.SelectMany(part => part.Modules.Where(module => Targets.Contains(module.ShortName)).Select(module => Math.Min(part.Inputs, module.Outputs))).DefaultIfEmpty(1024).Min();
        if (options.Rank < 1 || options.Rank > Math.Min(1024, most)) faults.Add($"rank is {options.Rank}, outside 1..{Math.Min(1024, most)}");
        if (!(options.Alpha > 0 && options.Alpha <= 65536)) faults.Add($"alpha is {options.Alpha}, outside 0..65536");
        if (faults.Count > 0) throw new AisleException("AISLE-5015", $"These adapters do not fit the model: {string.Join("; ", faults)}.", "Correct lora.rank, lora.alpha or lora.targets.");
    }
}
