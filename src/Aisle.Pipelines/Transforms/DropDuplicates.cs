using Aisle.Artifacts;

namespace Aisle.Pipelines;

/// <summary>The first document of equal text stays; texts are compared by SHA-256. Memory: about 50 bytes for each distinct document.</summary>
internal static class DropDuplicates
{
    public static void Run(TransformRun run)
    {
        var seen = new HashSet<Digest>();
        var titleLines = run.Integer("titleLines");
        foreach (var document in run.Read("documents"))
        {
            if (seen.Add(Digest.Of(WithoutTitle(document.Text, titleLines)))) run.Keep(document);
            else run.Filter("duplicate");
        }
    }

    // A document that is all title is compared as a whole.
    private static string WithoutTitle(string text, long titleLines)
    {
        var start = 0;
        for (; titleLines > 0; titleLines--) start = text.IndexOf('\n', start) + 1 is var next and > 0 ? next : text.Length;
        return start < text.Length ? text[start..] : text;
    }
}
