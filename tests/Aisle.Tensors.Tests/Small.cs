namespace Aisle.Tensors.Tests;

/// <summary>A model small enough for tests, and tokens for it.</summary>
internal static class Small
{
    public static LanguageModelConfig Config { get; } = new() { VocabularySize = 50, Layers = 2, Width = 32, Heads = 4, FeedForward = 48, ContextTokens = 24 };

    public static LanguageModel Model(ulong seed = 1, LanguageModelConfig? config = null, ArithmeticChoice choice = ArithmeticChoice.LibTorch)
    {
        var model = new LanguageModel(config ?? Config, choice);
        model.Initialize(seed);
        return model;
    }

    /// <summary>Biases start at zero, where a wrong one would not be seen.</summary>
    public static void FillBiases(LanguageModel model)
    {
        var random = new Random(4);
        foreach (var slot in model.Slots.Where(slot => slot.Name.EndsWith(".bias", StringComparison.Ordinal)))
        {
            foreach (ref var weight in model.Weights.Slice(slot.Offset, slot.Length)) weight = (random.NextSingle() - 0.5f) * 0.4f;
        }
    }

    public static int[] Tokens(int count, int seed = 1, int vocabulary = 50)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary))];
    }
}
