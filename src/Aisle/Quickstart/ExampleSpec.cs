namespace Aisle.Quickstart;

/// <summary>The spec file that the story runs: the same one that a user copies and changes.</summary>
/// <param name="Shown">The path as a user would type it.</param>
internal sealed record ExampleSpec(string Shown, string Text)
{
    /// <summary>What the spec calls itself.</summary>
    public string Name => Pipelines.PipelineSpec.Parse(Text).Name;

    private const string RelativePath = "examples/language-model/train.yaml";

    /// <summary>A smaller vocabulary and fewer steps: the same spec, through the same <c>--set</c> that a user has.</summary>
    public static IReadOnlyList<string> QuickSets { get; } = ["steps.vocabulary.with.size=1024", "steps.model.with.steps=80", "steps.model.with.checkpointEvery=20"];

    /// <summary>Looks where the user is, then up from the program: the repository, or a published folder.</summary>
    /// <exception cref="AisleException">AISLE-7074: it is in none of these.</exception>
    public static async Task<ExampleSpec> FindAsync(CancellationToken cancellationToken)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var file = Path.Combine(folder.FullName, RelativePath);
            if (File.Exists(file)) return new ExampleSpec(RelativePath, await File.ReadAllTextAsync(file, cancellationToken));
        }
        throw new AisleException("AISLE-7074", $"{RelativePath} is not beside the program in {AppContext.BaseDirectory} or above it.", "Build Aisle again, or run it from its repository.");
    }
}
