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

    /// <summary>Bytes that do not depend on any library: Knuth's MMIX generator, its top byte.</summary>
    public static byte[] Lcg(int length)
    {
        var bytes = new byte[length];
        var state = 1UL;
        for (var i = 0; i < length; i++)
        {
            state = state * 6364136223846793005 + 1442695040888963407;
            bytes[i] = (byte)(state >> 56);
        }
        return bytes;
    }

    /// <summary>One accident: bits flipped, the tail cut off, bytes put in, or a piece overwritten.</summary>
    public static byte[] Damage(byte[] content, int seed)
    {
        var random = new Random(seed);
        var at = random.Next(content.Length);
        byte[] damaged = [.. content];
        switch (random.Next(5))
        {
            case 0:
                damaged[at] ^= (byte)(1 << random.Next(8));
                return damaged;
            case 1:
                return damaged[..at];
            case 2:
                return [.. damaged[..at], .. Random(seed, random.Next(1, 100)), .. damaged[at..]];
            case 3:
                random.NextBytes(damaged.AsSpan(at, Math.Min(random.Next(1, 100), damaged.Length - at)));
                return damaged;
            default:
                // Numbers are where parsers break: all ones in a whole word.
                damaged.AsSpan(at, Math.Min(random.Next(1, 9), damaged.Length - at)).Fill(0xFF);
                return damaged;
        }
    }
}
