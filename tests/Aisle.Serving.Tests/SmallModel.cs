using Aisle.Tensors;
using Aisle.Tensors.Tokenizers;

namespace Aisle.Serving.Tests;

/// <summary>A model folder made for the tests: random weights over a vocabulary learnt from a few sentences, so its texts are noise in valid and broken UTF-8.</summary>
public sealed class SmallModel : IDisposable
{
    public const string Name = "models/small";
    public const int ContextTokens = 64;

    public SmallModel()
    {
        Tokenizer = BpeTokenizer.Learn(["The house stores what it is given. Das Haus fährt über Straßen; 数据 データ 🙂🙂."], vocabularySize: 280);
        Tokenizer.Save(Path.Combine(Folder, BpeTokenizer.FileName));
        using var model = new LanguageModel(new LanguageModelConfig
        {
            VocabularySize = 288, Layers = 1, Width = 16, Heads = 2, FeedForward = 24, ContextTokens = ContextTokens,
        });
        model.Initialize(1);
        model.Save(Folder);
        Generator = TextGenerator.Load(Folder);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("aisle-serving-").FullName;

    public BpeTokenizer Tokenizer { get; }

    public TextGenerator Generator { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
