using Aisle.Commands;
using Aisle.Pipelines;

namespace Aisle.Quickstart;

/// <summary>The text that the story starts from.</summary>
/// <param name="Path">Folder or file to put.</param>
/// <param name="What">In words, for the screen.</param>
internal sealed record SourceText(string Path, string What)
{
    /// <summary>Of the documentation, in a quick run.</summary>
    private const long QuickBytes = 8_000_000;

    /// <summary>What <c>--data</c> named; else the documentation that comes with the .NET SDK, gathered into <paramref name="folder"/>.</summary>
    /// <exception cref="AisleException">AISLE-4020: there is no SDK.</exception>
    public static SourceText Gather(string? data, bool quick, string folder)
    {
        if (data is not null) return new SourceText(System.IO.Path.GetFullPath(data), System.IO.Path.GetFullPath(data));
        var documentation = SdkDocumentation.Find();
        Directory.CreateDirectory(folder);
        documentation.CopyTo(folder, quick ? QuickBytes : long.MaxValue);
        return new SourceText(folder, $"the documentation of the .NET SDK in {documentation.Root}{(quick ? ", a part of it" : "")}");
    }

    /// <summary>Refuses what cannot be read or holds nothing, before anything is started for it.</summary>
    /// <exception cref="WrongUsageException">AISLE-7071: missing, unreadable or empty.</exception>
    public static void Check(string data)
    {
        try
        {
            var files = Directory.Exists(data) ? new DirectoryInfo(data).EnumerateFiles("*", SearchOption.AllDirectories)
                : File.Exists(data) ? [new FileInfo(data)]
                : throw Unusable(data, "is not there");
            var first = files.FirstOrDefault(file => file.Length > 0) ?? throw Unusable(data, "holds no text");
            using var readable = first.OpenRead();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unusable(data, $"cannot be read ({e.Message})", e);
        }
    }

    private static WrongUsageException Unusable(string data, string why, Exception? inner = null) =>
        new($"--data {data} {why}.", "Give a folder or file of text that you can read: .txt, .md, .xml, .html or .jsonl.", "AISLE-7071", inner);
}
