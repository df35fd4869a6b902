using System.Text;
using System.Text.Json;
using CsCheck;
using TensorOf = Aisle.Tensors.Tests.HuggingFaceFolder.Tensor;

namespace Aisle.Tensors.Tests;

/// <summary>Checkpoints in the layout of other tools, written by hand, against a graph of libtorch's.</summary>
public sealed class HuggingFaceTests
{
    private const int Vocabulary = 40, Layers = 2, Width = 24, Heads = 4, Shared = 2, FeedForward = 36, Context = 20;
    private static readonly int[] Tokens = [.. new Random(3).GetItems(Enumerable.Range(0, Vocabulary).ToArray(), Context)];

    [Theory]
    [InlineData("F32", false, false)]
    [InlineData("BF16", false, true)]
    [InlineData("F16", true, false)]
    [InlineData("F32", true, true)]
    public void A_llama_checkpoint_computes_the_reference_logits(string type, bool twoFiles, bool tied)
    {
        var tensors = Llama(bias: false, tied);
        var expected = new ReferenceModel(tensors).Llama(Tokens, Layers, Heads, Shared, 10_000, 1e-5, tied);
        AssertLogits(expected, LlamaConfig("llama", tied), tensors, type, twoFiles);
    }

    [Theory]
    [InlineData("F32", false)]
    [InlineData("BF16", true)]
    public void A_qwen2_checkpoint_computes_the_reference_logits(string type, bool tied)
    {
        var tensors = Llama(bias: true, tied);
        var expected = new ReferenceModel(tensors).Llama(Tokens, Layers, Heads, Shared, 1_000_000, 1e-6, tied);
        AssertLogits(expected, LlamaConfig("qwen2", tied), tensors, type, twoFiles: true);
    }

    [Theory]
    [InlineData("transformer.", "F32")]
    [InlineData("", "F16")]             // the first checkpoints: without the prefix, and with the attention masks
    public void A_gpt2_checkpoint_computes_the_reference_logits(string prefix, string type)
    {
        var tensors = Gpt2(prefix);
        var expected = new ReferenceModel(tensors).Gpt2(Tokens, Layers, Heads, prefix);
        if (prefix.Length == 0)
        {
            for (var i = 0; i < Layers; i++) tensors[$"h.{i}.attn.bias"] = new TensorOf([1, 1, Context, Context], new float[Context * Context]);
        }

        AssertLogits(expected, Gpt2Config, tensors, type, twoFiles: false);
    }

    [Theory]
    [InlineData(ModelFamily.Llama)]
    [InlineData(ModelFamily.Qwen2)]
    [InlineData(ModelFamily.Gpt2)]
    public void What_is_written_is_read_back_and_written_to_the_same_bytes(ModelFamily family)
    {
        using var folder = new TemporaryFolder();
        using var again = new TemporaryFolder();
        using var model = Small.Model(config: Small.Config with { Family = family, KeyValueHeads = 4 }, choice: ArithmeticChoice.Exact);
        Small.FillBiases(model);
        model.Save(folder.Path);
        using var loaded = LanguageModel.Load(folder.Path);
        Assert.Equal(model.Config.ToJson(), loaded.Config.ToJson());
        Assert.True(model.Weights.SequenceEqual(loaded.Weights));
        loaded.Save(again.Path);
        foreach (var name in (string[])["config.json", "model.safetensors"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(folder.Path, name)), File.ReadAllBytes(Path.Combine(again.Path, name)));
    }

    [Fact]
    public void A_written_gpt2_holds_its_matrices_as_inputs_by_outputs()
    {
        using var folder = new TemporaryFolder();
        using var model = Small.Model(config: Small.Config with { Family = ModelFamily.Gpt2 }, choice: ArithmeticChoice.Exact);
        model.Save(folder.Path);
        var file = Safetensors.Read(Path.Combine(folder.Path, "model.safetensors"));
        Assert.Equal([32, 96], file["transformer.h.0.attn.c_attn.weight"].Shape);
        var stored = new float[32 * 96];
        file["transformer.h.0.attn.c_attn.weight"].CopyTo(stored);
        var slot = model.Slots.Single(slot => slot.Name == "transformer.h.0.attn.c_attn.weight");
        Assert.Equal(model.Weights[slot.Offset + 5 * 32 + 7], stored[7 * 96 + 5]);
    }

    [Theory]
    [InlineData("model.layers.1.mlp.up_proj.weight", "", "lack [model.layers.1.mlp.up_proj.weight]")]
    [InlineData("", "model.layers.2.mlp.up_proj.weight", "beyond it [model.layers.2.mlp.up_proj.weight]")]
    public void Missing_and_extra_tensors_are_named(string missing, string extra, string said)
    {
        var tensors = Llama(bias: false, tied: true);
        tensors.Remove(missing);
        if (extra.Length > 0) tensors.Add(extra, new TensorOf([1], [1]));
        foreach (var twoFiles in (bool[])[false, true]) Assert.Contains(said, Refusal("AISLE-5021", LlamaConfig("llama", true), tensors, twoFiles).What, StringComparison.Ordinal);
    }

    [Fact]
    public void A_shape_that_does_not_match_is_named_with_both_shapes()
    {
        var tensors = Llama(bias: false, tied: true);
        tensors["model.layers.0.self_attn.q_proj.weight"] = Random([Width, Width + 1], 1);
        Assert.Contains("[24, 25] in its file and [24, 24]", Refusal("AISLE-5021", LlamaConfig("llama", true), tensors).What, StringComparison.Ordinal);
        tensors = Gpt2("transformer.");
        tensors["transformer.h.0.attn.c_attn.weight"] = Random([3 * Width, Width], 1);   // turned the wrong way
        Assert.Contains("[72, 24] in its file and [24, 72]", Refusal("AISLE-5021", Gpt2Config, tensors).What, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tied_head_that_is_written_out_must_be_the_embedding_table()
    {
        var tensors = Llama(bias: false, tied: true);
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
        using (var folder = new TemporaryFolder())
        {
            HuggingFaceFolder.WriteOne(folder.Path, LlamaConfig("llama", true), tensors);
            LanguageModel.Load(folder.Path).Dispose();
        }

        tensors["lm_head.weight"] = Random([Vocabulary, Width], 99);
        Assert.Contains("lm_head.weight differs", Refusal("AISLE-5021", LlamaConfig("llama", true), tensors).What, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../model.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("a/b.safetensors")]
    [InlineData("a\\\\b.safetensors")]
    [InlineData(".hidden.safetensors")]
    [InlineData("model.bin")]
    [InlineData("model.safetensors\\n")]
    public void An_index_never_reaches_outside_its_folder(string file)
    {
        var fault = Assert.Throws<AisleException>(() => CheckpointFiles.ParseIndex(Encoding.UTF8.GetBytes("""{"weight_map":{"x":"FILE"}}""".Replace("FILE", file, StringComparison.Ordinal))));
        Assert.Equal("AISLE-5023", fault.Code);
        Assert.Contains("in the same folder", fault.What, StringComparison.Ordinal);
    }

    [Fact]
    public void An_index_that_disagrees_with_its_files_is_refused()
    {
        using var folder = new TemporaryFolder();
        HuggingFaceFolder.WriteTwo(folder.Path, LlamaConfig("llama", true), Llama(bias: false, tied: true));
        var index = Path.Combine(folder.Path, "model.safetensors.index.json");
        var map = CheckpointFiles.ParseIndex(File.ReadAllBytes(index));
        map["model.norm.weight"] = map.Values.First(file => file != map["model.norm.weight"]);
        File.WriteAllText(index, JsonSerializer.Serialize(new { weight_map = map }));
        Assert.Contains("model.norm.weight is not in model-", Assert.Throws<AisleException>(() => LanguageModel.Load(folder.Path)).What, StringComparison.Ordinal);

        File.WriteAllText(index, JsonSerializer.Serialize(new { weight_map = new Dictionary<string, string> { ["model.embed_tokens.weight"] = "model-00001-of-00002.safetensors" } }));
        Assert.Contains("which the index does not say", Assert.Throws<AisleException>(() => LanguageModel.Load(folder.Path)).What, StringComparison.Ordinal);
        File.WriteAllText(index, """{"weight_map":{"model.embed_tokens.weight":"gone.safetensors"}}""");
        Assert.Equal("AISLE-5022", Assert.Throws<AisleException>(() => LanguageModel.Load(folder.Path)).Code);
    }

    [Fact]
    public void A_damaged_index_is_read_or_refused_with_a_code() =>
        Corruption.Of("""{"metadata":{"total_size":12},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"""u8.ToArray()).Sample(bytes =>
        {
            try
            {
                CheckpointFiles.ParseIndex(bytes);
            }
            catch (AisleException fault)
            {
                Assert.Equal("AISLE-5023", fault.Code);
            }
        }, iter: 10_000);

    [Fact]
    public void A_damaged_checkpoint_is_read_or_refused_with_a_code()
    {
        using var folder = new TemporaryFolder();
        HuggingFaceFolder.WriteOne(folder.Path, LlamaConfig("qwen2", true), Llama(bias: true, tied: true));
        var path = Path.Combine(folder.Path, "model.safetensors");
        Corruption.Of(File.ReadAllBytes(path)).Sample(bytes =>
        {
            File.WriteAllBytes(path, bytes);
            try
            {
                ModelWeights.Load(folder.Path);
            }
            catch (AisleException fault)
            {
                Assert.Contains(fault.Code, (string[])["AISLE-5020", "AISLE-5021"]);
            }
        }, iter: 300, threads: 1);
    }

    [Theory]
    [InlineData("""{"model_type":"gpt2","vocab_size":9,"n_layer":1,"n_embd":8,"n_head":2,"n_positions":4,"activation_function":"relu"}""", "activation_function")]
    [InlineData("""{"model_type":"gpt2","vocab_size":9,"n_layer":1,"n_embd":8,"n_head":2,"n_positions":4,"scale_attn_weights":false}""", "scale_attn_weights")]
    [InlineData("""{"model_type":"gpt2","vocab_size":9,"n_layer":1,"n_embd":8,"n_head":3,"n_positions":4}""", "not a multiple")]
    [InlineData("""{"model_type":"qwen2","vocab_size":9,"num_hidden_layers":1,"hidden_size":8,"num_attention_heads":2,"intermediate_size":8,"max_position_embeddings":4,"use_sliding_window":true}""", "use_sliding_window")]
    [InlineData("""{"model_type":"llama","vocab_size":9,"num_hidden_layers":1,"hidden_size":8,"num_attention_heads":2,"intermediate_size":8,"max_position_embeddings":4,"attention_bias":true}""", "attention_bias")]
    [InlineData("""{"model_type":"llama","vocab_size":9,"num_hidden_layers":1,"hidden_size":8,"num_attention_heads":2,"intermediate_size":8,"max_position_embeddings":4,"rope_scaling":{"rope_type":"llama3","factor":8}}""", "rope_scaling")]
    public void A_configuration_that_would_compute_something_else_is_refused(string json, string said) =>
        Assert.Contains(said, Assert.Throws<AisleException>(() => LanguageModelConfig.Parse(Encoding.UTF8.GetBytes(json))).What, StringComparison.Ordinal);

    [Fact]
    public void Rotary_settings_are_read_in_their_newer_place_too()
    {
        var config = LanguageModelConfig.Parse("""{"model_type":"llama","vocab_size":9,"num_hidden_layers":1,"hidden_size":8,"num_attention_heads":2,"intermediate_size":8,"max_position_embeddings":4,"rope_parameters":{"rope_theta":50000.0,"rope_type":"default"}}"""u8.ToArray());
        Assert.Equal(50_000, config.RotaryBase);
    }

    private static void AssertLogits(float[] expected, string config, Dictionary<string, TensorOf> tensors, string type, bool twoFiles)
    {
        using var folder = new TemporaryFolder();
        if (twoFiles) HuggingFaceFolder.WriteTwo(folder.Path, config, tensors, type);
        else HuggingFaceFolder.WriteOne(folder.Path, config, tensors, type);
        using var model = LanguageModel.Load(folder.Path);
        AssertClose(expected, model.ComputeLogits(Tokens));
        var decoder = new Decoder(ModelWeights.Load(folder.Path));
        AssertClose(expected[^Vocabulary..], decoder.Read(Tokens).ToArray());
    }

    private static void AssertClose(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        Assert.True(expected.Max() - expected.Min() > 1, "The reference says nothing in particular.");
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 5e-5f);
    }

    private static AisleException Refusal(string code, string config, Dictionary<string, TensorOf> tensors, bool twoFiles = false)
    {
        using var folder = new TemporaryFolder();
        if (twoFiles) HuggingFaceFolder.WriteTwo(folder.Path, config, tensors);
        else HuggingFaceFolder.WriteOne(folder.Path, config, tensors);
        var fault = Assert.Throws<AisleException>(() => LanguageModel.Load(folder.Path));
        Assert.Equal(code, fault.Code);
        return fault;
    }

    internal static string LlamaConfig(string type, bool tied) => $$"""
        {"architectures":["X"],"model_type":"{{type}}","vocab_size":{{Vocabulary}},"num_hidden_layers":{{Layers}},"hidden_size":{{Width}},"num_attention_heads":{{Heads}},
         "num_key_value_heads":{{Shared}},"intermediate_size":{{FeedForward}},"max_position_embeddings":{{Context}},"rope_theta":{{(type == "qwen2" ? "1000000.0" : "10000.0")}},
         "rms_norm_eps":{{(type == "qwen2" ? "1e-06" : "1e-05")}},"tie_word_embeddings":{{(tied ? "true" : "false")}},"hidden_act":"silu","sliding_window":4096,"use_sliding_window":false,
         "attention_dropout":0.0,"bos_token_id":1,"rope_scaling":null,"torch_dtype":"bfloat16"}
        """;

    private static string Gpt2Config => $$"""
        {"architectures":["GPT2LMHeadModel"],"model_type":"gpt2","vocab_size":{{Vocabulary}},"n_layer":{{Layers}},"n_embd":{{Width}},"n_head":{{Heads}},"n_inner":{{FeedForward}},
         "n_positions":{{Context}},"n_ctx":{{Context}},"activation_function":"gelu_new","resid_pdrop":0.1,"layer_norm_epsilon":1e-05}
        """;

    internal static Dictionary<string, TensorOf> Llama(bool bias, bool tied)
    {
        var tensors = new Dictionary<string, TensorOf> { ["model.embed_tokens.weight"] = Random([Vocabulary, Width], 1) };
        var keyWidth = Width / Heads * Shared;
        for (var i = 0; i < Layers; i++)
        {
            var p = $"model.layers.{i}.";
            tensors[$"{p}self_attn.q_proj.weight"] = Random([Width, Width], 10 * i + 2);
            tensors[$"{p}self_attn.k_proj.weight"] = Random([keyWidth, Width], 10 * i + 3);
            tensors[$"{p}self_attn.v_proj.weight"] = Random([keyWidth, Width], 10 * i + 4);
            tensors[$"{p}self_attn.o_proj.weight"] = Random([Width, Width], 10 * i + 5);
            tensors[$"{p}mlp.gate_proj.weight"] = Random([FeedForward, Width], 10 * i + 6);
            tensors[$"{p}mlp.up_proj.weight"] = Random([FeedForward, Width], 10 * i + 7);
            tensors[$"{p}mlp.down_proj.weight"] = Random([Width, FeedForward], 10 * i + 8);
            tensors[$"{p}input_layernorm.weight"] = Random([Width], 10 * i + 9, around: 1);
            tensors[$"{p}post_attention_layernorm.weight"] = Random([Width], 10 * i + 10, around: 1);
            if (!bias) continue;
            tensors[$"{p}self_attn.q_proj.bias"] = Random([Width], 10 * i + 50);
            tensors[$"{p}self_attn.k_proj.bias"] = Random([keyWidth], 10 * i + 51);
            tensors[$"{p}self_attn.v_proj.bias"] = Random([keyWidth], 10 * i + 52);
        }

        tensors["model.norm.weight"] = Random([Width], 98, around: 1);
        if (!tied) tensors["lm_head.weight"] = Random([Vocabulary, Width], 99);
        return tensors;
    }

    private static Dictionary<string, TensorOf> Gpt2(string prefix)
    {
        var tensors = new Dictionary<string, TensorOf> { [$"{prefix}wte.weight"] = Random([Vocabulary, Width], 1), [$"{prefix}wpe.weight"] = Random([Context, Width], 2) };
        for (var i = 0; i < Layers; i++)
        {
            var p = $"{prefix}h.{i}.";
            Add($"{p}ln_1", [Width], 10 * i + 3, around: 1);
            Add($"{p}attn.c_attn", [Width, 3 * Width], 10 * i + 4);
            Add($"{p}attn.c_proj", [Width, Width], 10 * i + 5);
            Add($"{p}ln_2", [Width], 10 * i + 6, around: 1);
            Add($"{p}mlp.c_fc", [Width, FeedForward], 10 * i + 7);
            Add($"{p}mlp.c_proj", [FeedForward, Width], 10 * i + 8);
        }

        Add($"{prefix}ln_f", [Width], 97, around: 1);
        return tensors;

        void Add(string name, long[] shape, int seed, float around = 0)
        {
            tensors[$"{name}.weight"] = Random(shape, seed, around);
            tensors[$"{name}.bias"] = Random([shape[^1]], seed + 500);
        }
    }

    // Multiples of 1/64 below 1 in size: exact in float16 and bfloat16 too.
    private static TensorOf Random(long[] shape, int seed, float around = 0)
    {
        var random = new Random(seed);
        return new TensorOf(shape, [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => around + random.Next(-24, 25) / 64f)]);
    }
}
