using System.Text;

namespace Aisle.Tensors;

public sealed partial class LanguageModel
{
    private const string ConfigFile = "config.json";

    /// <summary>Writes config.json and model.safetensors in Hugging Face's layout; the same model gives the same bytes. Existing files are replaced.</summary>
    /// <remarks>A model that computes in bfloat16 is stored in bfloat16: half the bytes, and exactly the weights it computes with.</remarks>
    public void Save(string folder)
    {
        var elementType = _options.Precision == WeightPrecision.BFloat16 ? ElementType.BF16 : ElementType.F32;
        WriteConfig(folder, Config, elementType);
        using var file = File.Create(Path.Combine(folder, CheckpointFiles.OneFile));
        Safetensors.Write(file, _layout.Slots, Weights, elementType: elementType);
    }

    internal static void WriteConfig(string folder, LanguageModelConfig config, ElementType elementType)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, ConfigFile), config.ToJson(elementType), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
    }

    /// <summary>Reads what <see cref="Save"/> or Hugging Face's tools wrote: LLaMA, Qwen2 or GPT-2, in one file or several, of float32, bfloat16 or float16.</summary>
    /// <returns>The caller disposes it.</returns>
    /// <exception cref="AisleException">AISLE-5010, 5011, 5020 to 5023: a file is missing or malformed, or the files do not belong together.</exception>
    public static LanguageModel Load(string folder, LanguageModelOptions? options = null)
    {
        var config = ReadConfig(folder);
        var model = new LanguageModel(config, options);
        try
        {
            ReadWeights(folder, model._layout, model.Weights);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>The shape of the model in a folder.</summary>
    /// <exception cref="AisleException">AISLE-5010, 5011, 5022: config.json is missing or malformed.</exception>
    public static LanguageModelConfig ReadConfig(string folder)
    {
        var path = Path.Combine(folder, ConfigFile);
        try
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > 1 << 20) throw new AisleException("AISLE-5011", $"{path} has {file.Length} bytes.", "A config.json is under 1 MiB.");
            return LanguageModelConfig.Parse(File.ReadAllBytes(path));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-5022", $"{path} cannot be read: {fault.Message}", "Give the folder of a model: config.json, model.safetensors, tokenizer.json.", fault);
        }
    }

    /// <summary>Fills <paramref name="weights"/> from a folder's files, which must hold exactly the layout's tensors; buffers that can be computed are passed over.</summary>
    internal static void ReadWeights(string folder, ModelLayout layout, Span<float> weights)
    {
        using var checkpoint = OpenChecked(folder, layout);
        foreach (var slot in layout.Slots) checkpoint.Read(slot, weights.Slice(slot.Offset, slot.Length));
    }

    /// <summary>As bfloat16, in half the memory: each tensor is rounded as it is read.</summary>
    internal static ExactWeights ReadFrozenBFloat16(string folder, ModelLayout layout)
    {
        using var checkpoint = OpenChecked(folder, layout);
        return ExactWeights.Frozen(layout, checkpoint.Read);
    }

    /// <summary>Open files that hold exactly a layout's tensors, each of its shape.</summary>
    internal sealed class Checkpoint(CheckpointFiles files, Dictionary<string, string> names) : IDisposable
    {
        /// <param name="target">Gets the tensor in memory's layout.</param>
        public void Read(TensorSlot slot, Span<float> target)
        {
            var name = names[slot.Name];
            if (!slot.TransposedInFiles)
            {
                files.Read(name, target);
                return;
            }

            var turned = new float[slot.Length];
            files.Read(name, turned);
            Safetensors.Transpose(turned, slot.Shape[1], slot.Shape[0], target);
        }

        public void Dispose() => files.Dispose();
    }

    internal static Checkpoint OpenChecked(string folder, ModelLayout layout)
    {
        var files = CheckpointFiles.Open(folder);
        try
        {
            return new Checkpoint(files, CheckTensors(files, layout));
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    private const string HeadName = "lm_head.weight";

    // Everything that can be known before a tensor is read. Returns each slot's name in the files.
    private static Dictionary<string, string> CheckTensors(CheckpointFiles files, ModelLayout layout)
    {
        var names = NamesInFiles(files, layout);
        foreach (var slot in layout.Slots) CheckShape(files.Place(names[slot.Name]), slot);
        // A tied head may be written out once more; were it another table, the files would mean two models.
        if (layout.Head.Weight != layout.Embedding || !files.Names.Contains(HeadName)) return names;
        var embedding = layout.Slots[0];
        CheckShape(files.Place(HeadName), embedding);
        float[] table = new float[embedding.Length], head = new float[embedding.Length];
        files.Read(names[embedding.Name], table);
        files.Read(HeadName, head);
        if (!table.AsSpan().SequenceEqual(head))
            throw new AisleException("AISLE-5021", $"{HeadName} differs from {embedding.Name}, and {ConfigFile} says that they are one table.", "Set tie_word_embeddings to false, or use the two files of one model.");
        return names;
    }

    // Slot name to the name in the files: GPT-2's first checkpoints leave out the leading "transformer.".
    private static Dictionary<string, string> NamesInFiles(CheckpointFiles files, ModelLayout layout)
    {
        const string Prefix = "transformer.";
        var names = layout.Slots.ToDictionary(slot => slot.Name, slot =>
            !files.Names.Contains(slot.Name) && slot.Name.StartsWith(Prefix, StringComparison.Ordinal) && files.Names.Contains(slot.Name[Prefix.Length..]) ? slot.Name[Prefix.Length..] : slot.Name);
        var known = names.Values.ToHashSet(StringComparer.Ordinal);
        var unknown = files.Names.Where(name => !known.Contains(name) && !IsComputed(name) && !(name == HeadName && layout.Head.Weight == layout.Embedding))
            .Order(StringComparer.Ordinal).Take(5).ToList();
        var missing = names.Values.Where(name => !files.Names.Contains(name)).Take(5).ToList();
        if (unknown.Count + missing.Count > 0)
            throw new AisleException("AISLE-5021", $"The weights do not fit {ConfigFile}: they lack [{string.Join(", ", missing)}] and have beyond it [{string.Join(", ", unknown)}].",
                "Use the files of one model.");
        return names;
    }

    // What older tools stored although it is computed: attention masks and rotary frequencies.
    private static bool IsComputed(string name) =>
        name.EndsWith(".attn.bias", StringComparison.Ordinal) || name.EndsWith(".attn.masked_bias", StringComparison.Ordinal) || name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal);

    private static void CheckShape(Safetensors.TensorPlace place, TensorSlot slot)
    {
        if (place.Shape.SequenceEqual(slot.ShapeInFiles.Select(size => (long)size))) return;
        throw new AisleException("AISLE-5021", $"{place.Name} is [{string.Join(", ", place.Shape)}] in its file and [{string.Join(", ", slot.ShapeInFiles)}] by {ConfigFile}.",
            "Use the files of one model.");
    }
}
