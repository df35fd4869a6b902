using System.Collections.Immutable;
using System.Text;
using System.Text.Json;

namespace Aisle.Tensors;

/// <summary>PEFT's adapter_config.json of a LoRA adapter. Fields that would change its mathematics are refused; the rest is passed over.</summary>
/// <remarks>Format: github.com/huggingface/peft, class LoraConfig.</remarks>
internal static class AdapterConfig
{
    private const int MostBytes = 1 << 20;
    private const int MostTargets = 64;

    public static string ToJson(LoraOptions lora, ModelFamily family, string baseModel)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("base_model_name_or_path", baseModel);
            json.WriteString("bias", "none");
            json.WriteBoolean("fan_in_fan_out", family == ModelFamily.Gpt2);   // its matrices are stored as [inputs, outputs]
            json.WriteBoolean("inference_mode", true);
            json.WriteBoolean("init_lora_weights", true);
            json.WriteNumber("lora_alpha", lora.Alpha);
            json.WriteNumber("lora_dropout", 0.0);
            json.WriteNull("modules_to_save");
            json.WriteString("peft_type", "LORA");
            json.WriteNumber("r", lora.Rank);
            json.WriteStartArray("target_modules");
            foreach (var target in lora.Targets) json.WriteStringValue(target);
            json.WriteEndArray();
            json.WriteString("task_type", "CAUSAL_LM");
            json.WriteBoolean("use_dora", false);
            json.WriteBoolean("use_rslora", false);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    /// <exception cref="AisleException">AISLE-5016: not an adapter that can be used here; AISLE-5022: it cannot be read.</exception>
    public static LoraOptions Read(string folder)
    {
        var path = Path.Combine(folder, AdaptedLanguageModel.AdapterConfigFile);
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > MostBytes and var length }) throw Refused($"it has {length} bytes, more than {MostBytes}");
            return Parse(File.ReadAllBytes(path));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-5022", $"{path} cannot be read: {fault.Message}", "Give the folder of an adapter: adapter_config.json and adapter_model.safetensors.", fault);
        }
    }

    public static LoraOptions Parse(ReadOnlyMemory<byte> utf8Json)
    {
        try
        {
            using var document = JsonDocument.Parse(utf8Json, new JsonDocumentOptions { MaxDepth = 16 });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw Refused("it is not a JSON object");
            if (Text(root, "peft_type") != "LORA") throw Refused("its peft_type is not LORA");
            if (Text(root, "bias") is not (null or "none")) throw Refused("it trains biases");
            foreach (var name in (ReadOnlySpan<string>)["use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern", "layers_to_transform", "layer_replication", "trainable_token_indices"])
            {
                if (IsSet(root, name)) throw Refused($"{name} is set");
            }

            if (!root.TryGetProperty("r", out var r) || r.ValueKind != JsonValueKind.Number || !r.TryGetInt32(out var rank) || rank < 1) throw Refused("r is not a whole number from 1");
            if (!root.TryGetProperty("lora_alpha", out var a) || a.ValueKind != JsonValueKind.Number || !a.TryGetDouble(out var alpha)) throw Refused("lora_alpha is not a number");
            if (!root.TryGetProperty("target_modules", out var targets) || targets.ValueKind != JsonValueKind.Array || targets.GetArrayLength() is < 1 or > MostTargets)
                throw Refused($"target_modules is not a list of 1 to {MostTargets} names");
            return new LoraOptions
            {
                Rank = rank,
                Alpha = alpha,
                Targets = [.. targets.EnumerateArray().Select(target => target.ValueKind == JsonValueKind.String ? target.GetString()! : throw Refused("target_modules holds something other than names"))],
            };
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)   // the second: text that is not UTF-8
        {
            throw Refused($"it is not JSON ({fault.Message})");
        }
    }

    public static AisleException Refused(string fault) => new("AISLE-5016", $"{AdaptedLanguageModel.AdapterConfigFile} does not describe an adapter that can be used here: {fault}.",
        "Use a LoRA adapter of plain matrices, made for this model.");

    private static string? Text(JsonElement root, string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static bool IsSet(JsonElement root, string name) => root.TryGetProperty(name, out var value) && value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => false,
        JsonValueKind.Object => value.EnumerateObject().Any(),
        JsonValueKind.Array => value.GetArrayLength() > 0,
        _ => true,
    };
}
