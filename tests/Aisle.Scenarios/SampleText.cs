using System.Globalization;
using System.Text;

namespace Aisle.Scenarios;

/// <summary>Small text that looks like documentation, drawn from a seed: the same on every machine.</summary>
internal static class SampleText
{
    private static readonly string[] Verbs = ["returns", "reads", "writes", "closes", "opens", "copies", "verifies", "counts"];
    private static readonly string[] Things = ["the stream", "a buffer", "the current user", "every file", "the named pipe", "an empty list", "the next record", "this instance"];
    private static readonly string[] Ends = ["without waiting", "when the call ends", "if there is one", "in the given order", "from the first byte on", "as text"];

    /// <summary>A folder of text files; about 100 bytes a line.</summary>
    public static string Write(string root, int files = 4, int linesPerFile = 400, int seed = 1)
    {
        var folder = Directory.CreateDirectory(Path.Combine(root, "text")).FullName;
        var random = new Random(seed);
        for (var file = 0; file < files; file++)
        {
            var text = new StringBuilder();
            for (var line = 0; line < linesPerFile; line++)
            {
                text.Append(CultureInfo.InvariantCulture, $"Method number {line} of type {file} {Pick(Verbs)} {Pick(Things)} and {Pick(Verbs)} {Pick(Things)} {Pick(Ends)}.\n\n");
            }
            File.WriteAllText(Path.Combine(folder, $"part-{file}.txt"), text.ToString());
        }
        return folder;

        string Pick(string[] words) => words[random.Next(words.Length)];
    }

    /// <summary>A pipeline from text to a model that trains in seconds.</summary>
    public const string Pipeline = """
        name: small
        inputs:
          text: data/text
        steps:
          documents:  { use: extract-text, in: text, with: { groupCharacters: 200 } }
          vocabulary: { use: learn-vocabulary, in: documents, with: { size: 300 } }
          tokens:     { use: tokenize, in: { documents: documents, vocabulary: vocabulary }, with: { validation: 0.05, seed: 1 } }
        outputs: { tokens: tokens }
        publish: { data/tokens: tokens }
        """;

    /// <summary>Training only, from tokens that are there.</summary>
    public const string Training = """
        name: exact
        inputs:
          tokens: data/tokens
        steps:
          model:
            use: train-language-model
            in: tokens
            workers: 3
            with:
              steps: 120
              slices: 16
              sequencesPerSlice: 2
              contextTokens: 64
              checkpointEvery: 20
              seed: 7
              model: { layers: 2, width: 96, heads: 4, feedForward: 256 }
              optimizer: { learningRate: 0.003, warmupSteps: 5 }
        outputs: { model: model }
        publish: { models/exact: model }
        """;
}
