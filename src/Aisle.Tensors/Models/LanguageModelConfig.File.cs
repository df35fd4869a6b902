using System.Text;
using System.Text.Json;

namespace Aisle.Tensors;

public sealed partial record LanguageModelConfig
{
    /// <summary>As Hugging Face's config.json of the family's causal language model; the same bytes for the same shape.</summary>
    /// <param name="elementType">What the weights beside it are stored as: F32 or BF16.</param>
    public string ToJson(ElementType elementType = ElementType.F32)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteStartArray("architectures");
            json.WriteStringValue(Family switch { ModelFamily.Gpt2 => "GPT2LMHeadModel", ModelFamily.Qwen2 => "Qwen2ForCausalLM", _ => "LlamaForCausalLM" });
            json.WriteEndArray();
            if (Family == ModelFamily.Gpt2) WriteGpt2(json);
            else WriteLlama(json);
            json.WriteBoolean("tie_word_embeddings", TiedEmbeddings);
            json.WriteString("torch_dtype", elementType == ElementType.BF16 ? "bfloat16" : "float32");
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private void WriteLlama(Utf8JsonWriter json)
    {
        json.WriteString("model_type", Family == ModelFamily.Qwen2 ? "qwen2" : "llama");
        if (Family == ModelFamily.Qwen2)
        {
            json.WriteBoolean("use_sliding_window", false);
        }
        else
        {
            json.WriteBoolean("attention_bias", false);
            json.WriteBoolean("mlp_bias", false);
        }

        json.WriteString("hidden_act", "silu");
        json.WriteNumber("vocab_size", VocabularySize);
        json.WriteNumber("num_hidden_layers", Layers);
        json.WriteNumber("hidden_size", Width);
        json.WriteNumber("num_attention_heads", Heads);
        json.WriteNumber("num_key_value_heads", KeyValueHeads);
        json.WriteNumber("intermediate_size", FeedForward);
        json.WriteNumber("max_position_embeddings", ContextTokens);
        json.WriteNumber("rope_theta", RotaryBase);
        json.WriteNumber("rms_norm_eps", NormEpsilon);
    }

    private void WriteGpt2(Utf8JsonWriter json)
    {
        json.WriteString("model_type", "gpt2");
        json.WriteString("activation_function", "gelu_new");
        json.WriteNumber("vocab_size", VocabularySize);
        json.WriteNumber("n_layer", Layers);
        json.WriteNumber("n_embd", Width);
        json.WriteNumber("n_head", Heads);
        json.WriteNumber("n_inner", FeedForward);
        json.WriteNumber("n_positions", ContextTokens);
        json.WriteNumber("layer_norm_epsilon", NormEpsilon);
    }

    /// <summary>Reads config.json. Fields this model has no use for are passed over; fields that would change its mathematics are refused.</summary>
    /// <exception cref="AisleException">AISLE-5011: not such a file; every fault found is named. AISLE-5010: the shape cannot be built.</exception>
    public static LanguageModelConfig Parse(ReadOnlyMemory<byte> utf8Json)
    {
        List<string> faults = [];
        try
        {
            using var document = JsonDocument.Parse(utf8Json, new JsonDocumentOptions { MaxDepth = 16 });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw Refused(["it is not a JSON object"]);
            var fields = new Fields(root, faults);
            var config = fields.OneOf("model_type", "llama", "qwen2", "gpt2") switch
            {
                "gpt2" => ReadGpt2(fields),
                "qwen2" => ReadLlama(fields, ModelFamily.Qwen2),
                _ => ReadLlama(fields, ModelFamily.Llama),
            };
            if (faults.Count > 0) throw Refused(faults);
            config.Validate();
            return config;
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)   // the second: text that is not UTF-8
        {
            throw Refused([$"it is not JSON ({fault.Message})"]);
        }
    }

    private static LanguageModelConfig ReadLlama(Fields fields, ModelFamily family)
    {
        fields.MustBe("silu", "hidden_act");
        fields.MustNotBeSet("attention_bias");
        fields.MustNotBeSet("mlp_bias");
        fields.MustNotBeSet("use_sliding_window");
        var config = new LanguageModelConfig
        {
            Family = family,
            VocabularySize = fields.Integer("vocab_size"),
            Layers = fields.Integer("num_hidden_layers"),
            Width = fields.Integer("hidden_size"),
            Heads = fields.Integer("num_attention_heads"),
            KeyValueHeads = fields.Integer("num_key_value_heads", otherwise: 0),
            FeedForward = fields.Integer("intermediate_size"),
            ContextTokens = fields.Integer("max_position_embeddings"),
            RotaryBase = fields.RotaryBase(),
            NormEpsilon = fields.Number("rms_norm_eps", otherwise: 1e-6),
            TiedEmbeddings = fields.Truth("tie_word_embeddings", otherwise: false),
        };
        if (config.Heads > 0) fields.MustBe(config.HeadWidth, "head_dim", "hidden_size / num_attention_heads");
        return config;
    }

    private static LanguageModelConfig ReadGpt2(Fields fields)
    {
        fields.MustBe("gelu_new", "activation_function", "gelu_pytorch_tanh");   // two names of one function
        fields.MustNotBeSet("scale_attn_by_inverse_layer_idx");
        fields.MustNotBeSet("add_cross_attention");
        if (!fields.Truth("scale_attn_weights", otherwise: true)) fields.Fault("scale_attn_weights is false, and this model's attention is scaled");
        var width = fields.Integer("n_embd");
        return new LanguageModelConfig
        {
            Family = ModelFamily.Gpt2,
            VocabularySize = fields.Integer("vocab_size"),
            Layers = fields.Integer("n_layer"),
            Width = width,
            Heads = fields.Integer("n_head"),
            FeedForward = fields.Integer("n_inner", otherwise: width is > 0 and <= 1 << 20 ? 4 * width : 0),
            ContextTokens = fields.Integer("n_positions"),
            NormEpsilon = fields.Number("layer_norm_epsilon", otherwise: 1e-5),
            TiedEmbeddings = fields.Truth("tie_word_embeddings", otherwise: true),
        };
    }

    private static AisleException Refused(List<string> faults) => new("AISLE-5011", $"config.json does not describe a model that can be read here: {string.Join("; ", faults)}.",
        "Use a model whose model_type is llama (without biases), qwen2 (without sliding windows) or gpt2, and whose rotary positions are not scaled.");

    private readonly struct Fields(JsonElement root, List<string> faults)
    {
        private JsonElement? Find(string name) => root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

        public int Integer(string name, int? otherwise = null)
        {
            if (Find(name) is not { } value) return otherwise ?? Missing<int>(name);
            return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) ? number : Wrong<int>(name, "a whole number");
        }

        public double Number(string name, double otherwise)
        {
            if (Find(name) is not { } value) return otherwise;
            return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) ? number : Wrong<double>(name, "a number");
        }

        public bool Truth(string name, bool otherwise) => Find(name) switch
        {
            null => otherwise,
            { ValueKind: JsonValueKind.True } => true,
            { ValueKind: JsonValueKind.False } => false,
            _ => Wrong<bool>(name, "true or false"),
        };

        /// <returns>Null when it is none of them, which is then among the faults.</returns>
        public string? OneOf(string name, params ReadOnlySpan<string> known)
        {
            if (Find(name) is not { } value) return Missing<string>(name);
            return value.ValueKind == JsonValueKind.String && value.GetString() is { } text && known.Contains(text)
                ? text
                : Wrong<string>(name, string.Join(" or ", known.ToArray().Select(one => $"\"{one}\"")));
        }

        public void MustBe(string expected, string name, string? orElse = null)
        {
            if (Find(name) is { } value && (value.ValueKind != JsonValueKind.String || value.GetString() is var text && text != expected && text != orElse))
                Wrong<int>(name, $"\"{expected}\"");
        }

        public void MustBe(int expected, string name, string reason)
        {
            if (Integer(name, expected) is var value && value != expected) faults.Add($"{name} is {value}, not {reason} = {expected}");
        }

        public void MustNotBeSet(string name)
        {
            if (Find(name) is { ValueKind: not JsonValueKind.False }) faults.Add($"{name} is set, which this model does not have");
        }

        // Older files: rope_theta, and rope_scaling that is null. Newer ones: rope_parameters, with both inside.
        public double RotaryBase()
        {
            foreach (var name in (ReadOnlySpan<string>)["rope_scaling", "rope_parameters"])
            {
                if (Find(name) is not { } value) continue;
                if (value.ValueKind != JsonValueKind.Object) return Wrong<double>(name, "an object");
                var inside = new Fields(value, faults);
                if (inside.Find("rope_type") is not { ValueKind: JsonValueKind.String } type || type.GetString() != "default")
                    faults.Add($"{name} is set to something other than rope_type \"default\", which this model does not have");
                if (inside.Find("rope_theta") is not null) return inside.Number("rope_theta", otherwise: 10_000);
            }

            return Number("rope_theta", otherwise: 10_000);
        }

        public void Fault(string fault) => faults.Add(fault);

        private T Missing<T>(string name)
        {
            faults.Add($"{name} is missing");
            return default!;
        }

        private T Wrong<T>(string name, string expected)
        {
            faults.Add($"{name} is not {expected}");
            return default!;
        }
    }
}
