namespace Aisle.Pipelines.Tests;

internal static class Repository
{
    /// <summary>A file of the source tree, found upwards from the test's own folder.</summary>
    public static string File(string path)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (System.IO.File.Exists(Path.Combine(folder.FullName, "Aisle.slnx"))) return Path.Combine(folder.FullName, path);
        }
        throw new FileNotFoundException("The tests run from the source tree.");
    }
}

/// <summary>A folder that is gone after the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("aisle-test-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
