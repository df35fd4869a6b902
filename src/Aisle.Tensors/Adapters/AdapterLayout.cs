using System.Collections.Immutable;

namespace Aisle.Tensors;

/// <summary>One adapter's two matrices, as offsets into the adapters' arenas, and the rows of its <see cref="LinearPart"/> that it adds to.</summary>
/// <param name="A">Of [rank, inputs].</param>
/// <param name="B">Of [outputs, rank].</param>
internal sealed record LowRankAdapter(string ModuleName, int A, int B, int Inputs, int FirstOutput, int Outputs);

/// <summary>Which matrices of a model have adapters, and where these lie in arenas of their own. Pure: no memory, no files.</summary>
internal sealed class AdapterLayout
{
    private static readonly LowRankAdapter[] None = [];
    private readonly Dictionary<int, LowRankAdapter[]> _byPart = [];   // by the part's offset in the model's arena

    /// <exception cref="AisleException">AISLE-5015: targets that the model has not, or a rank beyond it; every fault is named.</exception>
    public AdapterLayout(ModelLayout model, LoraOptions options)
    {
        Options = options with { Targets = options.Targets.IsDefaultOrEmpty ? AttentionOf(model) : [.. options.Targets.Distinct().Order(StringComparer.Ordinal)] };
        var parts = model.Layers.SelectMany(layer => layer.Linears).ToList();
        Check(parts, Options);
        var slots = ImmutableArray.CreateBuilder<TensorSlot>();
        var all = ImmutableArray.CreateBuilder<LowRankAdapter>();
        foreach (var part in parts)
        {
            var adapters = part.Modules.Where(module => Options.Targets.Contains(module.ShortName)).Select(module => new LowRankAdapter(
                module.Name, Place($"{module.Name}.lora_A.weight", Rank, part.Inputs), Place($"{module.Name}.lora_B.weight", module.Outputs, Rank),
                part.Inputs, module.FirstOutput, module.Outputs)).ToArray();
            if (adapters.Length > 0) _byPart.Add(part.Weight, adapters);
            all.AddRange(adapters);
        }

        (Slots, All) = (slots.ToImmutable(), all.ToImmutable());

        int Place(string name, int rows, int columns)
        {
            var slot = new TensorSlot($"base_model.model.{name}", [rows, columns], Length, Decays: true);
            slots.Add(slot);
            Length = checked(Length + slot.Length);
            return slot.Offset;
        }
    }

    /// <summary>With the targets written out, sorted.</summary>
    public LoraOptions Options { get; }

    public int Rank => Options.Rank;

    /// <summary>alpha / rank.</summary>
    public float Scale => (float)(Options.Alpha / Options.Rank);

    /// <summary>Named as PEFT names them, without gaps.</summary>
    public ImmutableArray<TensorSlot> Slots { get; }

    public ImmutableArray<LowRankAdapter> All { get; }

    /// <summary>Floats in all slots together.</summary>
    public int Length { get; private set; }

    /// <summary>The adapters of a matrix, or of several that are multiplied as one.</summary>
    public ReadOnlySpan<LowRankAdapter> Of(LinearPart part) => _byPart.GetValueOrDefault(part.Weight, None);

    // What a recipe without targets means: names differ between families, these parts do not.
    private static ImmutableArray<string> AttentionOf(ModelLayout model) =>
        [.. model.Layers[0].QueryKeyValue.Modules.Concat(model.Layers[0].Output.Modules).Select(module => module.ShortName).Distinct().Order(StringComparer.Ordinal)];

    private static void Check(List<LinearPart> parts, LoraOptions options)
    {
        List<string> faults = [];
        var known = parts.SelectMany(part => part.Modules).Select(module => module.ShortName).Distinct().ToList();
        foreach (var target in options.Targets.Where(target => !known.Contains(target))) faults.Add($"there is no '{target}' among {string.Join(", ", known)}");
        var most = parts.SelectMany(part => part.Modules.Where(module => options.Targets.Contains(module.ShortName)).Select(module => Math.Min(part.Inputs, module.Outputs))).Append(1024).Min();
        if (options.Rank < 1 || options.Rank > most) faults.Add($"rank is {options.Rank}, outside 1..{most}");
        if (!(options.Alpha > 0 && options.Alpha <= 65536)) faults.Add($"alpha is {options.Alpha}, outside 0..65536");
        if (faults.Count > 0) throw new AisleException("AISLE-5015", $"These adapters do not fit the model: {string.Join("; ", faults)}.", "Correct the rank, alpha or targets.");
    }
}
