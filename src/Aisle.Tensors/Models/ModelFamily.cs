namespace Aisle.Tensors;

/// <summary>Which published architecture a model has: decides its parts, and the names of its tensors in files.</summary>
public enum ModelFamily
{
    /// <summary>RMSNorm, rotary positions, SwiGLU, no biases. Hugging Face: <c>LlamaForCausalLM</c>.</summary>
    Llama,

    /// <summary>As LLaMA, with a bias on queries, keys and values. Hugging Face: <c>Qwen2ForCausalLM</c>.</summary>
    Qwen2,

    /// <summary>LayerNorm, learned positions, GELU by its tanh form, biases everywhere. Hugging Face: <c>GPT2LMHeadModel</c>.</summary>
    Gpt2,
}
