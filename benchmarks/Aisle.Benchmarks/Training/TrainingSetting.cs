using System.Globalization;
using System.Runtime.InteropServices;
using Aisle.Tensors;
using Aisle.Training;
using Aisle.Training.LanguageModels;

namespace Aisle.Benchmarks.Training;

/// <summary>What both sides train: one recipe in text parameters, and made-up tokens in a folder of its own that goes when this is disposed.</summary>
internal sealed class TrainingSetting : IDisposable
{
    public const ulong Seed = 1;
    public const int Vocabulary = 2048;
    private const int Tokens = 400_000;

    private TrainingSetting(bool isSmall, int steps, int checkpointEvery)
    {
        var shape = isSmall
            ? "slices=6 sequencesPerSlice=2 contextTokens=16 model.layers=1 model.width=32 model.heads=2 model.feedForward=64"
            : "slices=8 sequencesPerSlice=2 contextTokens=128 model.layers=6 model.width=256 model.heads=8 model.feedForward=688";
        Parameters = $"{shape} steps={steps} checkpointEvery={checkpointEvery} optimizer.learningRate=0.003 optimizer.warmupSteps=20".Split(' ');
        Recipe = RecipeOf(Parameters);
        Folder = Directory.CreateTempSubdirectory("aisle-bench-").FullName;
        WriteTokens();
        var config = LanguageModelTraining.ConfigOf(Recipe, TokensDescription.Read(Folder));
        ParameterCount = (int)config.ParameterCount;
    }

    /// <summary>Six layers of width 256, 5.3 million parameters; or a tiny one.</summary>
    /// <param name="steps">The run's end; only ever reached by runs that are left to end.</param>
    public static TrainingSetting Create(bool isSmall, int steps, int checkpointEvery = 0) => new(isSmall, steps, checkpointEvery);

    public string Folder { get; }

    public string[] Parameters { get; }

    public TrainingRecipe Recipe { get; }

    public int ParameterCount { get; }

    public int TokensPerStep => (int)Recipe.TokensPerStep;

    public static TrainingRecipe RecipeOf(IEnumerable<string> parameters) =>
        TrainingRecipe.FromParameters(parameters.Select(parameter => parameter.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]), Seed);

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    // Half of the tokens follow from the one before, the others are drawn with small numbers far more often: there is something to learn, soon and late.
    private void WriteTokens()
    {
        var random = new Random((int)Seed);
        var tokens = new ushort[Tokens];
        for (var i = 1; i < Tokens; i++) tokens[i] = (ushort)(random.Next(2) == 0 ? (tokens[i - 1] * 5 + 17) % Vocabulary : Vocabulary * Math.Pow(random.NextDouble(), 4));
        File.WriteAllBytes(Path.Combine(Folder, "train.u16"), MemoryMarshal.AsBytes(tokens.AsSpan()));
        File.WriteAllText(
            Path.Combine(Folder, TokensDescription.FileName),
            string.Create(CultureInfo.InvariantCulture, $$"""{"vocabularySize":{{Vocabulary}},"endOfText":0,"trainTokens":{{Tokens}},"validationTokens":0,"validationBytes":0}"""));
    }
}
