namespace Aisle.Artifacts.Tests;

/// <summary>A folder of one test, gone after it.</summary>
internal sealed class Folder : IDisposable
{
    public Folder() => Path = Directory.CreateTempSubdirectory("aisle-test-").FullName;

    public string Path { get; }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>Writes files below a new folder and returns that folder.</summary>
    public string Write(string name, IEnumerable<KeyValuePair<string, byte[]>> files)
    {
        var root = Directory.CreateDirectory(this[name]).FullName;
        foreach (var (path, content) in files)
        {
            var full = System.IO.Path.Combine(root, path);
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(full)!);
            File.WriteAllBytes(full, content);
        }
        return root;
    }

    public static SortedDictionary<string, byte[]> Read(string folder)
    {
        var files = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)) files[System.IO.Path.GetRelativePath(folder, file)] = File.ReadAllBytes(file);
        return files;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

internal static class Bytes
{
    public static byte[] Random(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
