using System.Text;

namespace Aisle.Tensors;

public sealed partial class LanguageModel
{
    private const string ConfigFile = "config.json";
    private const string WeightsFile = "model.safetensors";

    /// <summary>Writes config.json and model.safetensors in Hugging Face's layout; the same model gives the same bytes. Existing files are replaced.</summary>
    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, ConfigFile), Config.ToJson(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        using var file = File.Create(Path.Combine(folder, WeightsFile));
        Safetensors.Write(file, _slots, Weights);
    }

    /// <summary>Reads what <see cref="Save"/> or Hugging Face's tools wrote.</summary>
    /// <returns>The caller disposes it.</returns>
    /// <exception cref="AisleException">AISLE-5010, 5011, 5020 to 5022: a file is missing or malformed, or the two do not belong together.</exception>
    public static LanguageModel Load(string folder)
    {
        var config = ReadConfig(folder);
        var model = new LanguageModel(config);
        try
        {
            ReadWeights(folder, model._slots, model.Weights);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>The shape of the model in a folder.</summary>
    internal static LanguageModelConfig ReadConfig(string folder)
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

    /// <summary>Fills <paramref name="weights"/> from a folder's model.safetensors, which must hold exactly the slots.</summary>
    internal static void ReadWeights(string folder, IReadOnlyList<TensorSlot> slots, Span<float> weights)
    {
        var entries = Safetensors.Read(Path.Combine(folder, WeightsFile));
        var unknown = entries.Keys.Except(slots.Select(slot => slot.Name)).Order(StringComparer.Ordinal).Take(5).ToList();
        var missing = slots.Select(slot => slot.Name).Where(name => !entries.ContainsKey(name)).Take(5).ToList();
        if (unknown.Count + missing.Count > 0)
            throw new AisleException("AISLE-5021", $"{WeightsFile} does not fit {ConfigFile}: it lacks [{string.Join(", ", missing)}] and has beyond it [{string.Join(", ", unknown)}].",
                "Use the two files of one model.");
        foreach (var slot in slots)
        {
            var entry = entries[slot.Name];
            if (!entry.Shape.SequenceEqual(slot.Shape.Select(size => (long)size)))
                throw new AisleException("AISLE-5021", $"{slot.Name} is [{string.Join(", ", entry.Shape)}] in {WeightsFile} and [{string.Join(", ", slot.Shape)}] by {ConfigFile}.",
                    "Use the two files of one model.");
            entry.CopyTo(weights.Slice(slot.Offset, slot.Length));
        }
    }
}
