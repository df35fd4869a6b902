using System.Collections.Immutable;
using System.Text;
using System.Text.Json;

namespace Aisle.Pipelines.Tests.Transforms;

/// <summary>Runs a transform on files written for the test, in a folder of its own, and reads back what it made.</summary>
internal sealed class Transformed : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public required TransformResult Result { get; init; }

    public string Folder(string port) => Path.Combine(_folder.Path, "out", port);

    public List<(string Text, string Source)> Documents => [.. Lines("documents").Select(line => (line.GetProperty("text").GetString()!, line.GetProperty("source").GetString()!))];

    public List<(string Source, string Error)> Dead => [.. Lines("dead").Select(line => (line.GetProperty("source").GetString()!, line.GetProperty("error").GetString()!))];

    private IEnumerable<JsonElement> Lines(string port) =>
        Directory.GetFiles(Folder(port)).Order(StringComparer.Ordinal).SelectMany(File.ReadLines).Select(line => JsonDocument.Parse(line).RootElement);

    /// <summary>Every output file by relative path, as hex: equal when the bytes are.</summary>
    public SortedDictionary<string, string> Bytes => new(Directory.GetFiles(Path.Combine(_folder.Path, "out"), "*", SearchOption.AllDirectories)
        .ToDictionary(file => Path.GetRelativePath(_folder.Path, file), file => Convert.ToHexString(File.ReadAllBytes(file))));

    public static Task<Transformed> FromAsync(string program, params (string File, string Content)[] files) => FromAsync(program, [], [.. files.Select(file => (file.File, Encoding.UTF8.GetBytes(file.Content)))]);

    public static Task<Transformed> FromAsync(string program, (string Name, string Value)[] parameters, params (string File, byte[] Content)[] files)
    {
        var inputs = ProgramCatalogue.Find(program)!.Inputs;
        return FromAsync(program, parameters, [.. files.Select(file => (inputs[0], file.File, file.Content))]);
    }

    public static async Task<Transformed> FromAsync(string program, (string Name, string Value)[] parameters, (string Port, string File, byte[] Content)[] files, ulong seed = 1)
    {
        var transformed = new TemporaryFolder();
        try
        {
            return await FillAsync(transformed, program, parameters, files, seed);
        }
        catch
        {
            transformed.Dispose();
            throw;
        }
    }

    private static async Task<Transformed> FillAsync(
        TemporaryFolder transformed, string program, (string Name, string Value)[] parameters, (string Port, string File, byte[] Content)[] files, ulong seed)
    {
        var known = ProgramCatalogue.Find(program)!;
        foreach (var port in known.Inputs) Directory.CreateDirectory(Path.Combine(transformed.Path, "in", port));
        foreach (var (port, file, content) in files)
        {
            var path = Path.Combine(transformed.Path, "in", port, file);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllBytesAsync(path, content);
        }
        var result = await TextTransforms.RunAsync(new TransformCall
        {
            Program = known.Id,
            Parameters = parameters.ToImmutableSortedDictionary(parameter => parameter.Name, parameter => parameter.Value),
            Inputs = known.Inputs.ToDictionary(port => port, port => Path.Combine(transformed.Path, "in", port)),
            Outputs = known.Outputs.ToDictionary(port => port, port => Path.Combine(transformed.Path, "out", port)),
            Seed = seed,
        });
        Assert.True(result.Counts.AddsUp);
        return new Transformed(transformed) { Result = result };
    }

    private Transformed(TemporaryFolder folder) => _folder = folder;

    public void Dispose() => _folder.Dispose();
}
