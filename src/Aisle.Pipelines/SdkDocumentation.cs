namespace Aisle.Pipelines;

/// <summary>Real text that is on every machine which builds .NET programs: the XML documentation of the SDK's reference packs, about 70 MB.</summary>
public sealed class SdkDocumentation
{
    private SdkDocumentation(string root, IReadOnlyList<(string Name, string Path)> files) => (Root, Files) = (root, files);

    /// <summary>The .NET folder it was found in.</summary>
    public string Root { get; }

    /// <summary>Pack and file name (<c>Microsoft.NETCore.App.Ref/System.Collections.xml</c>) and where it lies, in ordinal order of name. The newest version of each pack.</summary>
    public IReadOnlyList<(string Name, string Path)> Files { get; }

    /// <summary>Looks beside the runtime this process runs on, then at <c>DOTNET_ROOT</c>, then at the <c>dotnet</c> on the path, links followed.</summary>
    /// <exception cref="AisleException">AISLE-4020: none of them has reference packs (a runtime without SDK).</exception>
    public static SdkDocumentation Find() => Find(Candidates());

    internal static SdkDocumentation Find(IEnumerable<string> roots)
    {
        var looked = roots.Distinct().ToList();
        foreach (var root in looked)
        {
            var files = FilesUnder(root);
            if (files.Count > 0) return new SdkDocumentation(root, files);
        }
        throw new AisleException("AISLE-4020", $"The .NET SDK's documentation is in none of: {string.Join(", ", looked)}.",
            "Install the .NET SDK (a runtime alone has no documentation), or give your own text: --data PATH.");
    }

    /// <summary>Copies the files into a folder, to be put into a data centre.</summary>
    /// <param name="maxBytes">Takes files in order and leaves out each that would go beyond: the same subset every time.</param>
    /// <returns>Bytes copied.</returns>
    public long CopyTo(string folder, long maxBytes = long.MaxValue)
    {
        var copied = 0L;
        foreach (var (name, path) in Files)
        {
            var length = new FileInfo(path).Length;
            if (copied + length > maxBytes) continue;
            copied += length;
            var target = Path.Combine(folder, name);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(path, target, overwrite: true);
        }
        return copied;
    }

    private static IEnumerable<string> Candidates()
    {
        // …/shared/Microsoft.NETCore.App/10.0.1/System.Private.CoreLib.dll; empty in a single-file program.
        if (typeof(object).Assembly.Location is { Length: > 0 } runtime && new FileInfo(runtime).Directory?.Parent?.Parent?.Parent is { } beside) yield return beside.FullName;
        if (Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } root) yield return root;
        foreach (var folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            var dotnet = new FileInfo(Path.Combine(folder, OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet"));
            if (dotnet.Exists && (dotnet.ResolveLinkTarget(returnFinalTarget: true) ?? dotnet) is FileInfo { Directory: { } home }) yield return home.FullName;
        }
    }

    private static List<(string Name, string Path)> FilesUnder(string root)
    {
        var packs = new DirectoryInfo(Path.Combine(root, "packs"));
        if (!packs.Exists) return [];
        return
        [
            .. packs.EnumerateDirectories("*.Ref").SelectMany(pack => ReferencesOf(pack).Select(file => (Name: $"{pack.Name}/{file.Name}", Path: file.FullName)))
                .OrderBy(file => file.Name, StringComparer.Ordinal).ThenBy(file => file.Path, StringComparer.Ordinal).DistinctBy(file => file.Name),
        ];
    }

    // packs/Microsoft.NETCore.App.Ref/10.0.1/ref/net10.0/System.Collections.xml
    private static IEnumerable<FileInfo> ReferencesOf(DirectoryInfo pack)
    {
        var newest = pack.EnumerateDirectories()
            .OrderByDescending(version => Version.TryParse(version.Name.Split('-')[0], out var number) ? number : new Version())
            .ThenByDescending(version => version.Name, StringComparer.Ordinal).FirstOrDefault();
        var references = new DirectoryInfo(Path.Combine(newest?.FullName ?? pack.FullName, "ref"));
        return references.Exists ? references.EnumerateFiles("*.xml", SearchOption.AllDirectories) : [];
    }
}
