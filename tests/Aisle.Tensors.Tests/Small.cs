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

    public static int[] Tokens(int count, int seed = 1, int vocabulary = 50)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary))];
    }
}
