using System.Text.Json;

namespace Aisle.Tensors;

/// <summary>The shape of a LLaMA-style model: RMSNorm, rotary positions, SwiGLU, causal attention. Read from and written as Hugging Face's config.json.</summary>
public sealed record LanguageModelConfig
{
    public required int VocabularySize { get; init; }

    public required int Layers { get; init; }

    /// <summary>Channels between blocks.</summary>
    public required int Width { get; init; }

    public required int Heads { get; init; }

    /// <summary>Heads of keys and values, each shared by Heads / KeyValueHeads query heads. As many as <see cref="Heads"/> unless set.</summary>
    public int KeyValueHeads { get => field == 0 ? Heads : field; init; }

    /// <summary>Channels inside the SwiGLU part.</summary>
    public required int FeedForward { get; init; }

    /// <summary>Most tokens the model sees at once.</summary>
    public required int ContextTokens { get; init; }

    public double RotaryBase { get; init; } = 10_000;

    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>Whether the output head is the embedding table.</summary>
    public bool TiedEmbeddings { get; init; } = true;

    public int HeadWidth => Width / Heads;

    /// <summary>Floats in all tensors together.</summary>
    public long ParameterCount => (TiedEmbeddings ? 1L : 2L) * VocabularySize * Width + Width +
        Layers * (2L * Width + 2L * Width * Width + 2L * Width * KeyValueHeads * HeadWidth + 3L * Width * FeedForward);

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
        else if (Heads > 0 && HeadWidth % 2 != 0) yield return $"{nameof(Width)} / {nameof(Heads)} is {HeadWidth}, and rotary positions need an even number";
        if (KeyValueHeads > 0 && Heads % KeyValueHeads != 0) yield return $"{nameof(Heads)} {Heads} is not a multiple of {nameof(KeyValueHeads)} {KeyValueHeads}";
        if (!(RotaryBase > 1 && RotaryBase <= 1e9)) yield return $"{nameof(RotaryBase)} is {RotaryBase}, outside 1..1e9";
        if (!(NormEpsilon > 0 && NormEpsilon <= 0.1)) yield return $"{nameof(NormEpsilon)} is {NormEpsilon}, outside 0..0.1";
        if (Heads > 0 && ParameterCount > int.MaxValue) yield return $"it has {ParameterCount} parameters, more than {int.MaxValue}";
    }

    /// <summary>As Hugging Face's config.json of a <c>LlamaForCausalLM</c>; the same bytes for the same shape.</summary>
    public string ToJson()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteStartArray("architectures");
            json.WriteStringValue("LlamaForCausalLM");
            json.WriteEndArray();
            json.WriteString("model_type", "llama");
            json.WriteBoolean("attention_bias", false);
            json.WriteBoolean("mlp_bias", false);
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
            json.WriteBoolean("tie_word_embeddings", TiedEmbeddings);
            json.WriteString("torch_dtype", "float32");
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(stream.ToArray()) + "\n";
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
            fields.MustBe("model_type", "llama", required: true);
            fields.MustBe("hidden_act", "silu");
            fields.MustNotBeSet("attention_bias");
            fields.MustNotBeSet("mlp_bias");
            fields.MustNotBeSet("rope_scaling");
            var config = new LanguageModelConfig
            {
                VocabularySize = fields.Integer("vocab_size"),
                Layers = fields.Integer("num_hidden_layers"),
                Width = fields.Integer("hidden_size"),
                Heads = fields.Integer("num_attention_heads"),
                KeyValueHeads = fields.Integer("num_key_value_heads", otherwise: 0),
                FeedForward = fields.Integer("intermediate_size"),
                ContextTokens = fields.Integer("max_position_embeddings"),
                RotaryBase = fields.Number("rope_theta", otherwise: 10_000),
                NormEpsilon = fields.Number("rms_norm_eps", otherwise: 1e-6),
                TiedEmbeddings = fields.Truth("tie_word_embeddings", otherwise: false),
            };
            if (faults.Count == 0 && config.Heads > 0 && fields.Integer("head_dim", config.HeadWidth) is var wide && wide != config.HeadWidth)
                faults.Add($"head_dim is {wide}, not hidden_size / num_attention_heads = {config.HeadWidth}");
            if (faults.Count > 0) throw Refused(faults);
            config.Validate();
            return config;
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)   // the second: text that is not UTF-8
        {
            throw Refused([$"it is not JSON ({fault.Message})"]);
        }
    }

    private static AisleException Refused(List<string> faults) => new("AISLE-5011", $"config.json does not describe a LLaMA-style model: {string.Join("; ", faults)}.",
        "Use a model whose model_type is llama, without biases or rope scaling.");

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

        public void MustBe(string name, string expected, bool required = false)
        {
            var value = Find(name);
            if (value is null && !required) return;
            if (value is null) Missing<int>(name);
            else if (value.Value.ValueKind != JsonValueKind.String || value.Value.GetString() != expected) Wrong<int>(name, $"\"{expected}\"");
        }

        public void MustNotBeSet(string name)
        {
            if (Find(name) is { ValueKind: not JsonValueKind.False }) faults.Add($"{name} is set, which this model does not have");
        }

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
