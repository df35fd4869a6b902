using System.Text;

namespace Aisle.Tensors;

public sealed partial class AdaptedLanguageModel
{
    /// <summary>Names of the two files of an adapter's folder, as PEFT has them.</summary>
    public const string AdapterConfigFile = "adapter_config.json", AdapterWeightsFile = "adapter_model.safetensors";

    /// <summary>Writes the adapter alone, as PEFT's <c>LoraConfig</c> and tensors; the same adapter gives the same bytes.</summary>
    /// <param name="baseModel">Where users find the frozen model: a name, path or digest.</param>
    public void SaveAdapter(string folder, string baseModel = "")
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, AdapterConfigFile), AdapterConfig.ToJson(Lora, Config.Family, baseModel), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        using var file = File.Create(Path.Combine(folder, AdapterWeightsFile));
        Safetensors.Write(file, Slots, Weights);
    }

    /// <summary>Replaces the adapters by those that <see cref="SaveAdapter"/> or PEFT wrote.</summary>
    /// <exception cref="AisleException">AISLE-5016: not such a folder, or of other ranks or targets than these; AISLE-5020 to 5022: the weights are malformed.</exception>
    public void ReadAdapter(string folder)
    {
        var written = AdapterConfig.Read(folder);
        if (new AdapterLayout(_layout, written).Options != Lora)
            throw AdapterConfig.Refused($"it has rank {written.Rank}, alpha {written.Alpha} and targets [{string.Join(", ", written.Targets)}], where rank {Lora.Rank}, alpha {Lora.Alpha} and [{string.Join(", ", Lora.Targets)}] were asked for");
        using var file = new SafetensorsFile(Path.Combine(folder, AdapterWeightsFile));
        var strays = file.Tensors.Keys.Except(Slots.Select(slot => slot.Name)).Order(StringComparer.Ordinal).Take(5).ToList();
        var missing = Slots.Select(slot => slot.Name).Where(name => !file.Tensors.ContainsKey(name)).Take(5).ToList();
        if (strays.Count + missing.Count > 0) throw AdapterConfig.Refused($"its weights lack [{string.Join(", ", missing)}] and have beyond the model's [{string.Join(", ", strays)}]");
        foreach (var slot in Slots)
        {
            var place = file.Tensors[slot.Name];
            if (!place.Shape.SequenceEqual(slot.Shape.Select(size => (long)size)))
                throw AdapterConfig.Refused($"{slot.Name} is [{string.Join(", ", place.Shape)}], and the model needs [{string.Join(", ", slot.Shape)}]");
            file.Read(slot.Name, Weights.Slice(slot.Offset, slot.Length));
        }
    }

    /// <summary>Writes the model that frozen weights and adapters make together, in Hugging Face's layout and float32: any tool loads it, and nothing of it is an adapter any more.</summary>
    /// <remarks>Reads the frozen model again, one tensor at a time: memory is that of the largest tensor, not of the model.</remarks>
    public void SaveMerged(string folder)
    {
        LanguageModel.WriteConfig(folder, Config, ElementType.F32);
        using var checkpoint = LanguageModel.OpenChecked(_folder, _layout);
        using var product = new ExactProduct();
        var adapters = _adapters.Layout.All.ToDictionary(adapter => $"{adapter.ModuleName}.weight", StringComparer.Ordinal);
        using var file = File.Create(Path.Combine(folder, CheckpointFiles.OneFile));
        Safetensors.Write(file, _layout.Slots, (slot, target) =>
        {
            checkpoint.Read(slot, target);
            // What was computed with is what is written.
            if (_options.Precision == WeightPrecision.BFloat16)
            {
                foreach (ref var weight in target) weight = BFloat16.Widen(BFloat16.Round(weight));
            }

            if (adapters.TryGetValue(slot.Name, out var adapter)) _adapters.AddTo(adapter, target, product);
        });
    }
}
